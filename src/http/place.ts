/** Characters of a place that are shown: a client may have chosen a name in it. */
const PLACE_LENGTH = 100

/** Turns the JSON pointer `/api_keys/3/name` into `api_keys[3].name`. */
export function placeOf(pointer: string): string {
  const place = pointer.replaceAll(/\/(\d+)(?=\/|$)/g, '[$1]').replaceAll('/', '.')
  return place === '' ? 'The body' : place.slice(1, PLACE_LENGTH)
}
