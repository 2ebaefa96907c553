import fc from 'fast-check'
import { members, number, word } from './stored-events.ts'

const mostly = (value: fc.Arbitrary<string>, other: fc.Arbitrary<string>) =>
  fc.oneof({ weight: 8, arbitrary: value }, other)

/** An event of a token: valid, nearly valid, or neither. */
export const storedToken = fc.record({
  type: fc.constantFrom('TokenCreated', 'TokenRevoked'),
  version: fc.constantFrom(1, 1, 1, 1, 1, 2),
  payload: members({
    name: mostly(
      fc.constantFrom('"proxy-1"', '"0"', '"a._-"', `"${'a'.repeat(63)}"`),
      fc.oneof(
        fc.constantFrom('"Proxy"', '"-a"', '"a\\n"', '""', '"é"', `"${'a'.repeat(64)}"`),
        fc.oneof(word, number),
      ),
    ),
    role: mostly(
      fc.constantFrom('"dp"', '"admin"', '"auditor"'),
      fc.oneof(fc.constantFrom('"root"', '"dp\\n"', '"DP"'), number),
    ),
  }),
})
