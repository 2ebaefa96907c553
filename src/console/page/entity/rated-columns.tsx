import { formatCount } from '../format.ts'
import { Rate } from '../parts/rate.tsx'
import type { Column } from '../parts/table.tsx'
import type { Rated } from './totals.tsx'

/** The columns for requests, failures and success rate. */
export const RATED_COLUMNS: Column<Rated>[] = [
  {
    title: 'Requests',
    ...{ chars: 18, phoneChars: 12 },
    sort: 'total_requests',
    align: 'end',
    show: (row) => formatCount(row.total_requests),
  },
  {
    title: 'Failures',
    chars: 16,
    sort: 'failure_requests',
    align: 'end',
    rank: 3,
    show: (row) => formatCount(row.failure_requests),
  },
  {
    title: 'Success rate',
    sort: 'success_rate',
    align: 'end',
    ...{ chars: 26, phoneChars: 12 },
    show: (row) => <Rate rate={row.success_rate} total={row.total_requests} />,
  },
]
