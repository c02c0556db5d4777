/**
 * What a route accepts as its JSON body; docs/security-limits.md has the reasons. A route that needs more
 * than the default of its audience states it (`config.body`).
 */
export type BodyLimits = {
  maxBytes: number
  /** Elements of lists and of objects, at all depths together. */
  maxValues: number
  /** Keys of objects: what parsing pays for most. */
  maxKeys: number
}

const KIB = 1024
const MIB = 1024 * KIB

/** Nothing that the API takes is nested deeper than four levels. */
export const MAX_DEPTH = 20

/** What anybody may send: e-mail address, name and password, escaped character by character if need be. */
export const PUBLIC_BODY: BodyLimits = { maxBytes: 10 * KIB, maxValues: 100, maxKeys: 100 }

/**
 * The longest text of an ordinary body is an album's description: 10,000 characters, which escaped (`\u00e4`)
 * are 60 kB.
 */
export const SMALL_BODY: BodyLimits = { maxBytes: 64 * KIB, maxValues: 5_000, maxKeys: 1_000 }

/** A photo's description (100,000 characters, escaped 600 kB), or 10,000 ids. */
export const LONG_BODY: BodyLimits = { maxBytes: MIB, maxValues: 20_000, maxKeys: 1_000 }

/**
 * Lists of ids. Immich takes 10 MB as well; an id is 39 bytes, so this is 268,000. Its CLI adds 65,000 to an
 * album, its phone app whatever was selected. Such a list is parsed in 25 ms; with lists in it, or keys
 * without end, it would be 100.
 */
export const ID_LISTS: BodyLimits = { maxBytes: 10 * MIB, maxValues: 300_000, maxKeys: 1_000 }

/** Lists of files by path and checksum: Immich's CLI sends 5,000 at a time, here 25,000 fit. */
export const FILE_LISTS: BodyLimits = { maxBytes: 10 * MIB, maxValues: 100_000, maxKeys: 50_000 }

/** Bytes of bodies that are held in memory at once, until their requests are answered. */
export const HELD_BYTES = { public: 4 * MIB, users: 32 * MIB }

/** A body of which fewer bytes than these arrive within the time is given up. */
export const JSON_PACE = { withinSeconds: 10, bytes: 10 * KIB }

/**
 * The same for forms, which are files: a phone on the slowest of lines, which is in a tunnel for a minute and
 * a half.
 */
export const FORM_PACE = { withinSeconds: 120, bytes: 16 * KIB }
