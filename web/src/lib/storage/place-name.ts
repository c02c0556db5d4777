/**
 * A location at the beginning of a sentence: `This disk`. What its owner has called it, a bucket or a folder,
 * stays as it is: to a provider, `Photos` is another bucket than `photos`. Pure.
 */
export function placeName(label: string): string {
  return / at |[/\\]/.test(label) ? label : label.replace(/^[a-z]/, (letter) => letter.toUpperCase())
}
