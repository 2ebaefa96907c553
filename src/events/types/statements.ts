import { COUNTS_NOTHING, type EventDefinition } from '../definition.ts'
import {
  type Attestation,
  decodeAttestation,
  decodeOriginChange,
  decodeShardsChange,
  type OriginChange,
  type ShardsChange,
} from '../statement.ts'

/**
 * An attestation, whether its last accesses are as posted or bounded by `latestAccess`, and whether
 * it covers backdated usage.
 */
export type Attested = {
  attestation: Attestation
  lastAccess: 'posted' | 'bounded'
  hasBackdated: boolean
}

export const projectionAttested: EventDefinition<Attested> = {
  ...COUNTS_NOTHING,
  version: 3,
  read: {
    1: readAttested({ lastAccess: 'posted', hasBackdated: false }),
    2: readAttested({ lastAccess: 'bounded', hasBackdated: false }),
    3: readAttested({ lastAccess: 'bounded', hasBackdated: true }),
  },
}

function readAttested(form: Omit<Attested, 'attestation'>) {
  return (payload: unknown): Attested => ({ attestation: decodeAttestation(payload), ...form })
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
