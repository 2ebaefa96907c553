/** The logo: tally marks. */
export const Mark = () => (
  <svg class="mark" viewBox="0 0 32 32" aria-hidden>
    <path d="M7 6v20M13 6v20M19 6v20M25 6v20M3 23 29 9" />
  </svg>
)
