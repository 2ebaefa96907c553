/** Keys and API keys of a run are 1 to SLOTS, its groups 1 to GROUPS. */
export const SLOTS = 6
export const GROUPS = 3
