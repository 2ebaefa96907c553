import { formatRate, formatShare } from '../format.ts'

/** Success rate from which a bar is green, and below which it is red. */
const GOOD = 0.99
const BAD = 0.95

/** Returns the grade of a success rate; `none` without requests. */
export const gradeOf = (rate: number, total: number | bigint) =>
  total === 0 ? 'none' : rate >= GOOD ? 'good' : rate >= BAD ? 'fair' : 'bad'

/** Signs for users who cannot see the colour: a rate is low, a quota is high. */
const LOW = { good: '', fair: '▾ ', bad: '▼ ' }
const HIGH = { good: '', fair: '▴ ', bad: '▲ ' }

/** Shows a success rate as digits and as a bar. */
export function Rate({ rate, total }: { rate: number; total: number | bigint }) {
  const grade = gradeOf(rate, total)
  if (grade === 'none') return <span class="muted">–</span>
  return <Bar grade={grade} sign={LOW[grade]} share={rate} text={formatRate(rate)} />
}

/** Shows how much of a quota is used. */
export function Quota({ used, limit }: { used: number | bigint; limit: number }) {
  if (limit < 0) return <span class="muted">unlimited</span>
  const share = limit === 0 ? 1 : Number(used) / limit
  const grade = share >= 1 ? 'bad' : share >= 0.8 ? 'fair' : 'good'
  return <Bar grade={grade} sign={HIGH[grade]} share={share} text={formatShare(share)} />
}

type BarProps = { grade: string; sign: string; share: number; text: string }

function Bar({ grade, sign, share, text }: BarProps) {
  return (
    <span class={`rate ${grade}`}>
      <span class="digits">
        <span aria-hidden>{sign}</span>
        {text}
      </span>
      <span class="track" aria-hidden>
        <span class="fill" style={{ width: `${Math.min(share, 1) * 100}%` }} />
      </span>
    </span>
  )
}
