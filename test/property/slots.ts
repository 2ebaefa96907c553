/**
 * Keys, API keys and external ids of a run are 1 to SLOTS, its groups 1 to GROUPS. Rows that only
 * external ids name get ids up to twice SLOTS.
 */
export const SLOTS = 6
export const GROUPS = 3
