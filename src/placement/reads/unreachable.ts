import type { ObjectKind } from '../../database/schema.ts'
import type { Location } from '../location.ts'

/**
 * The sentence of an answer to somebody who wants bytes that can't be had now. `at` is where they are; empty:
 * nowhere that is known to be good. `localId`: the media location.
 */
export function unreachableSentence(
  object: { kind: ObjectKind; contentType: string },
  at: readonly Pick<Location, 'id' | 'kind'>[],
  localId: string,
): string {
  const whose = object.contentType.startsWith('video/') ? "This video's" : "This photo's"
  const what = object.kind === 'original' ? `${whose} original` : 'This picture'
  if (at.length === 0) return `${what} can't be read now; an administrator should look at the storage page.`
  const where = at.some(({ kind }) => kind !== 'disk')
    ? 'in the bucket'
    : at.some(({ id }) => id === localId)
      ? 'on the disk of the server'
      : 'in another folder'
  return `${what} is ${where}, which can't be reached now; it is not lost. Try again later.`
}
