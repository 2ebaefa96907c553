/** Says what an attempt came to. */
export const describeOutcome = ({
  status,
  error,
}: {
  status: number | null
  error: string | null
}) => error ?? (status === null ? 'not attempted yet' : `answered ${status}`)
