import fc from 'fast-check'
import { pack } from '../../../src/events/packed.ts'

// Columns of payloads, packed or not, and members of payloads: valid, nearly valid, or neither.

/** A column of these values, most often as an append packs it. */
export function packed(values: readonly number[]): fc.Arbitrary<string> {
  const [bits, base64] = pack(values)
  const bytes = Buffer.from(base64, 'base64')
  const spare = Buffer.concat([bytes.subarray(0, -1), Buffer.from([(bytes.at(-1) ?? 0) | 1])])
  const valid = fc.constant(JSON.stringify([bits, base64]))
  return fc.oneof(
    { weight: 60, arbitrary: valid },
    fc.constantFrom(
      JSON.stringify([bits + 1, base64]),
      JSON.stringify([bits, base64.replaceAll('=', '')]),
      JSON.stringify([bits, base64.replaceAll('+', '-').replaceAll('/', '_')]),
      JSON.stringify([bits, `${base64}\n`]),
      JSON.stringify([bits, spare.toString('base64')]),
      JSON.stringify([bits, `${base64}AAAA`]),
      JSON.stringify([String(bits), base64]),
      JSON.stringify([bits, base64, 0]),
      JSON.stringify(values),
      JSON.stringify(base64),
      `[${bits}.0,${JSON.stringify(base64)}]`,
      `[${bits}e0,${JSON.stringify(base64)}]`,
      ...[`[-0,""]`, `[0,""]`, `[54,""]`, `[1e400,""]`, `[1,"\\u0000"]`, 'null', '{}'],
    ),
  )
}

export const MAX = Number.MAX_SAFE_INTEGER

/** A column of `length` values. */
export const columnOf = (length: number, value: fc.Arbitrary<number>) =>
  fc.array(value, { minLength: length, maxLength: length }).chain(packed)

export const count = fc.oneof(
  { weight: 9, arbitrary: fc.nat(5) },
  { weight: 4, arbitrary: fc.constant(0) },
  fc.constantFrom(2 ** 16, 2 ** 31, 2 ** 32, MAX),
)

/** Members, most of which are there. */
export const members = (shape: Record<string, fc.Arbitrary<string | null>>) =>
  fc
    .tuple(
      ...Object.entries(shape).map(([name, arbitrary]) =>
        fc
          .oneof({ weight: 60, arbitrary }, fc.constant(null))
          .map((value) => (value === null ? '' : `"${name}":${value}`)),
      ),
    )
    .map((parts) => parts.filter((part) => part !== '').join(','))

/** Mostly one of the first; sometimes one of the others. */
export const mostly = (usual: readonly string[], unusual: readonly string[]) =>
  fc.oneof({ weight: 20, arbitrary: fc.constantFrom(...usual) }, fc.constantFrom(...unusual))
