/**
 * Counts up whenever the reader finds more or other things in a file: whatever was read by an older one is
 * read again in the background, at its owner's cost in time and, where it lies in a bucket, in money. So not
 * for what can be corrected from what is stored.
 *
 * 1: tags, faces and other details; words instead of makers' codes; times in UTC of phones and satellites.
 */
export const READER_VERSION = 1
