/** A time as the log writes it: `2026-01-31T12:00:00.123456+00:00`. */
export const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}\+00:00$/
