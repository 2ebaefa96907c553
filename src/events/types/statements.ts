import { COUNTS_NOTHING, type EventDefinition } from '../definition.ts'
import {
  type Attestation,
  decodeAttestation,
  decodeOriginChange,
  decodeShardsChange,
  type OriginChange,
  type ShardsChange,
} from '../statement.ts'

/** An attestation, and whether its last accesses are as posted or bounded by `latestAccess`. */
export type Attested = { attestation: Attestation; lastAccess: 'posted' | 'bounded' }

export const projectionAttested: EventDefinition<Attested> = {
  ...COUNTS_NOTHING,
  version: 2,
  read: {
    1: (payload) => ({ attestation: decodeAttestation(payload), lastAccess: 'posted' }),
    2: (payload) => ({ attestation: decodeAttestation(payload), lastAccess: 'bounded' }),
  },
}

export const originChanged: EventDefinition<OriginChange> = {
  ...COUNTS_NOTHING,
  version: 1,
  read: { 1: decodeOriginChange },
}

export const shardsChanged: EventDefinition<ShardsChange> = {
  ...COUNTS_NOTHING,
  version: 1,
  read: { 1: decodeShardsChange },
}
