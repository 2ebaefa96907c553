import { Elysia } from 'elysia'
import type { Attestations } from '../../proofs/attestations/attestations.ts'
import type { Admission } from '../admission.ts'
import type { auth } from '../auth.ts'
import { describe } from '../openapi.ts'
import { NoQuery } from '../params.ts'
import { unavailable } from '../problem.ts'
import { AttestationsBody, EXAMPLE, MadeBody } from './model.ts'

/** Serves POST and GET /admin/attestations: events that attest what the projections hold. */
export function attestationRoutes(
  guard: ReturnType<typeof auth>,
  { attestations, admission }: { attestations: Attestations; admission: Admission },
) {
  return new Elysia({ name: 'attestations' })
    .use(guard)
    .post(
      '/admin/attestations',
      async (context) => {
        const made = await admission.admitRead(context, () => attestations.attest())
        if (made === null) throw unavailable('projections behind')
        context.set.status = 201
        return { items: made.map(({ shard, position }) => ({ shard, position })) }
      },
      { parse: 'none', roles: ['admin'], query: NoQuery, detail: attestDetail },
    )
    .get(
      '/admin/attestations',
      (context) =>
        admission.admitRead(context, async () => ({ items: await attestations.readNewest() })),
      { roles: ['admin', 'auditor'], query: NoQuery, detail: listDetail },
    )
}

const attestDetail = describe({
  tag: 'Transparency log',
  summary: 'Attest the contents of the projections',
  description:
    'Appends a ProjectionAttested event to each shard that has grown since its last one. It ' +
    'holds the totals and a digest of every table up to a position. Anyone who folds the log up ' +
    'to that position gets the same values, or can prove that the attestation is wrong.',
  ok: {
    status: 201,
    description: 'The positions of the new attestations; empty if nothing was appended since',
    schema: MadeBody,
    example: { items: [{ shard: 0, position: 42 }] },
  },
  errors: [400, 401, 403, 503],
  errorValues: { 503: ['projections behind'] },
})

const listDetail = describe({
  tag: 'Transparency log',
  summary: 'List the newest attestation of each shard',
  ok: {
    description: 'One attestation for each shard that has any',
    schema: AttestationsBody,
    example: { items: [EXAMPLE] },
  },
  errors: [400, 401, 403, 503],
})
