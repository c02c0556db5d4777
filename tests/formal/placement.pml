/*
 * Where the bytes of an acknowledged original are, and who may remove them: a model that `spin` explores
 * exhaustively. README.md beside this file explains it. Each line of the loop at the end of `moves.pml` is
 * one move; between two moves everything may crash. `switches.pml` takes rules away and chooses what may
 * happen.
 */
#ifndef OBJECTS
#define OBJECTS 1
#endif
#define KEYS 2 /* keys in the bucket for each object: each attempt to put takes a fresh one */

/*
 * An installation is a ledger and a disk. The second slot holds the copy; or, with `restore`, the snapshot,
 * which doesn't run.
 */
#define ORIGINAL 0
#define COPY 1
#define OTHER(l) (1 - (l))
#define AT(l, o) ((l) * OBJECTS + (o))
#define ON(l, o) ((IS(one_disk) -> (o) : AT(l, o))) /* two ledgers on one disk, say on a network */
#define SLOT(o, k) ((o) * KEYS + (k))
#define TO_CLEAR(l, o, k) isToClear[(l) * OBJECTS * KEYS + SLOT(o, k)]

/* Bytes at a place. */
#define NONE 0
#define RIGHT 1
#define WRONG 2

/* An object in a ledger. */
#define UNKNOWN 0
#define UNLINKED 1 /* its upload was not acknowledged by this ledger */
#define LINKED 2
#define PURGING 3

/* A replica's row. */
#define ABSENT 0
#define WRITING 1
#define VERIFIED 2
#define EVICTING 3
#define SUSPECT 4

/* What a process that evicts has done. It forgets that in a crash. */
#define IDLE 0
#define TURNED_LOCAL 1
#define TURNED_REMOTE 2

/* Ledgers. */
byte object[2 * OBJECTS];
byte diskRow[2 * OBJECTS];
byte bucketRow[2 * OBJECTS];
byte key[2 * OBJECTS];
bit isToClear[2 * OBJECTS * KEYS]; /* with strays: keys that its rows have left, and that it looks after */
byte current[2]; /* tokens; 0: none */
byte intended[2];

/* The world. */
byte disk[2 * OBJECTS];
byte bucket[OBJECTS * KEYS];
byte token; /* at the bucket */
byte usedKeys[OBJECTS];
bit born[OBJECTS];
byte put[2 * OBJECTS]; /* bytes on their way to the bucket; they outlive their sender */
byte putKey[2 * OBJECTS];
bit isDeleting[OBJECTS * KEYS]; /* with late_deletes: deletions on their way; they outlive their sender */
bit isFlipped;
bit isSnapshotTaken;

/* What only processes know. */
bit owns[2]; /* its last look at the token is younger than a period */
bit didAdvance[2]; /* since its start */
bit inConflict[2];
bit isSettled[2]; /* and since then a period has passed */
bit isRequestOpen[2 * OBJECTS];
/* With late_deletes: it has run for so long that no request of an earlier process is on its way. */
bit areOldRequestsOver[2];
bit isWriterWaiting[2 * OBJECTS];
byte eviction[2 * OBJECTS];
bit isKeyYoung[2 * OBJECTS]; /* with late_deletes: this process took the key itself */
bit isStarted; /* the copy */
byte waiting; /* the copy, before it owns anything */
byte seen;
bit didOriginalLook;
#define NOT_BEGUN 0
#define WAITS 1
#define SAW_LIFE 2
#define SAW_SLEEP 3
#define NEED_NOT 4

/* What only the invariants know. */
bit acknowledged[OBJECTS];
/* The copy became the installation: while the original was silent, or by an administrator's decision. */
bit isSuperseded;
bit isStale[2]; /* the other one has advanced the token since */

#include "switches.pml"
#include "words.pml"
#include "promise.pml"
#include "bytes.pml"
#include "removal.pml"
#include "world.pml"
#include "owner.pml"
#include "moves.pml"
