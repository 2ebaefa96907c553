/** Why an administrator corrects: 1 to 500 characters. */
export const REASON = /^.{1,500}$/su
