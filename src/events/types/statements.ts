import { COUNTS_NOTHING, type EventDefinition } from '../definition.ts'
import { DECLARED, versionOfAttested } from '../digest.ts'
import {
  type Attestation,
  decodeAttestation,
  decodeOriginChange,
  decodeShardsChange,
  type OriginChange,
  type ShardsChange,
} from '../statement.ts'

/** An attestation with its version, and whether its last accesses are as posted or bounded. */
export type Attested = {
  attestation: Attestation
  version: number
  lastAccess: 'posted' | 'bounded'
}

export const projectionAttested: EventDefinition<Attested> = {
  ...COUNTS_NOTHING,
  version: DECLARED,
  versionOf: ({ attestation }) => versionOfAttested(attestation.tables),
  read: { 1: readAttested(1), 2: readAttested(2), 3: readAttested(3), 4: readAttested(4) },
}

function readAttested(version: number) {
  const lastAccess = version === 1 ? 'posted' : 'bounded'
  return (payload: unknown): Attested => ({
    ...{ attestation: decodeAttestation(payload), version, lastAccess },
  })
}

export const originChanged: EventDefinition<OriginChange> = {
  ...COUNTS_NOTHING,
  version: 1,
  read: { 1: decodeOriginChange },
}

export const shardsChanged: EventDefinition<ShardsChange> = {
  ...COUNTS_NOTHING,
  version: 2,
  read: { 1: decodeShardsChange, 2: decodeShardsChange },
}
