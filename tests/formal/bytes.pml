/*
 * What an installation does with bytes: uploads, offloads, evictions, the sweep, purges. One inline is one
 * move.
 */

#define RUNS(l) ((l) == ORIGINAL || isStarted)
/* Some moves are left out of some runs. */
#define RUNS_ALL_WAYS(l) (RUNS(l) && !IS(only_direct) && !IS(only_tokens))
#define RUNS_FETCHING(l) (RUNS(l) && (IS(only_direct) || !IS(few_moves)))
#define RUNS_DIRECT(l) (RUNS(l) && !IS(only_tokens) && (IS(only_direct) || !IS(few_moves)))
#define RUNS_WITH_ALL(l) (RUNS(l) && !IS(few_moves))
#define RUNS_WITH_USERS(l) (RUNS(l) && !IS(nobody_deletes))
#define MAY_TOUCH(l) (IS(without_R3) || owns[l]) /* as it believes: until its next look at the token */
/* R3c: nothing is removed before the bucket has held this process's own token for a whole period. */
#define MAY_REMOVE(l) (MAY_TOUCH(l) && (IS(without_R3) || IS(without_R3c) || isSettled[l]))
/*
 * Also not on the own disk: who gives up a local replica relies on the bucket, and must own what it relies
 * on.
 */
#define MAY_REMOVE_LOCAL(l) ((IS(without_R3c_at_home) && !IS(one_disk)) || MAY_REMOVE(l))
#define HELD(l, o) bucket[SLOT(o, key[AT(l, o)])]
#define MAY_DELETE_KEY(l, o) !isDeleting[SLOT(o, key[AT(l, o)])]
#define LOCAL_IS_CONFIRMED(l, o) (diskRow[AT(l, o)] == VERIFIED && disk[ON(l, o)] == RIGHT)
#define REMOTE_IS_CONFIRMED(l, o) (bucketRow[AT(l, o)] == VERIFIED && HELD(l, o) == RIGHT)
/* What lies under a key that its row leaves, or comes to lie there, is looked at again. */
#define LEAVE_KEY(l, o) TO_CLEAR(l, o, key[AT(l, o)]) = IS(strays)
#define TAKE_KEY(l, o) key[AT(l, o)] = usedKeys[o]; usedKeys[o]++; isKeyYoung[AT(l, o)] = IS(late_deletes)
#define FORGET_REMOTE(l, o) bucketRow[AT(l, o)] = ABSENT; key[AT(l, o)] = 0; isWriterWaiting[AT(l, o)] = 0; \
  isKeyYoung[AT(l, o)] = 0
/* The deletion is carried out at once, or, with `late_deletes`, whenever the network lets it. */
#define DELETE_REMOTE(l, o) \
  isDeleting[SLOT(o, key[AT(l, o)])] = IS(late_deletes); HELD(l, o) = (IS(late_deletes) -> HELD(l, o) : NONE)
/*
 * R6: what a process finds in the bucket may have a deletion on its way to it that an earlier process sent.
 */
#define IS_PATIENT(l, o) (!IS(late_deletes) || IS(without_R6) || areOldRequestsOver[l] || isKeyYoung[AT(l, o)])
#if OBJECTS == 2
/* Both objects have the same bytes: two uploads of one file. */
#define HAS_LINKED_TWIN(l, o) (object[AT(l, 1 - (o))] == LINKED)
#else
#define HAS_LINKED_TWIN(l, o) false
#endif

/* Upload: intent; bytes; verified and acknowledged in one transaction. */
inline upload_begins(l, o) { d_step {
  RUNS_ALL_WAYS(l) && !born[o] ->
  born[o] = 1; object[AT(l, o)] = UNLINKED; diskRow[AT(l, o)] = WRITING; isRequestOpen[AT(l, o)] = 1;
  DID(upload_begins, l, o)
} }
inline upload_arrives(l, o) { d_step {
  RUNS_ALL_WAYS(l) && isRequestOpen[AT(l, o)] && diskRow[AT(l, o)] == WRITING && disk[ON(l, o)] == NONE ->
  disk[ON(l, o)] = RIGHT;
  DID(upload_arrives, l, o)
} }
inline upload_is_acknowledged(l, o) { d_step {
  RUNS_ALL_WAYS(l) && isRequestOpen[AT(l, o)] && object[AT(l, o)] == UNLINKED && !HAS_LINKED_TWIN(l, o) &&
    diskRow[AT(l, o)] == WRITING && disk[ON(l, o)] == RIGHT ->
  diskRow[AT(l, o)] = VERIFIED; object[AT(l, o)] = LINKED; isRequestOpen[AT(l, o)] = 0; acknowledged[o] = 1;
  DID(upload_is_acknowledged, l, o)
} }

/*
 * Direct upload: the client puts to the bucket, comes back, at any time and to any server that knows its
 * upload, and the server looks and acknowledges.
 */
inline direct_upload_begins(l, o) { d_step {
  RUNS_DIRECT(l) && !born[o] && usedKeys[o] < KEYS && MAY_TOUCH(l) ->
  born[o] = 1; object[AT(l, o)] = UNLINKED; bucketRow[AT(l, o)] = WRITING; TAKE_KEY(l, o);
  put[AT(l, o)] = RIGHT; putKey[AT(l, o)] = key[AT(l, o)];
  DID(direct_upload_begins, l, o)
} }
inline direct_upload_is_acknowledged(l, o) { d_step {
  RUNS_DIRECT(l) && object[AT(l, o)] == UNLINKED && !HAS_LINKED_TWIN(l, o) &&
    (bucketRow[AT(l, o)] == WRITING || bucketRow[AT(l, o)] == VERIFIED) && HELD(l, o) == RIGHT ->
  bucketRow[AT(l, o)] = VERIFIED; object[AT(l, o)] = LINKED; acknowledged[o] = 1;
  DID(direct_upload_is_acknowledged, l, o)
} }

/* Offload, first half: intent under a fresh key; put; proof. What is put is what is read, right or not. */
inline offload_begins(l, o) { d_step {
  RUNS_ALL_WAYS(l) && object[AT(l, o)] == LINKED && diskRow[AT(l, o)] == VERIFIED && disk[ON(l, o)] != NONE &&
    bucketRow[AT(l, o)] == ABSENT && usedKeys[o] < KEYS && put[AT(l, o)] == NONE && MAY_TOUCH(l) ->
  bucketRow[AT(l, o)] = WRITING; TAKE_KEY(l, o);
  put[AT(l, o)] = disk[ON(l, o)]; putKey[AT(l, o)] = key[AT(l, o)]; isWriterWaiting[AT(l, o)] = 1;
  DID(offload_begins, l, o)
} }
inline put_lands(l, o) { d_step {
  put[AT(l, o)] != NONE ->
  bucket[SLOT(o, putKey[AT(l, o)])] = put[AT(l, o)]; put[AT(l, o)] = NONE; putKey[AT(l, o)] = 0;
  DID(put_lands, l, o)
} }
inline put_is_lost(l, o) { d_step {
  put[AT(l, o)] != NONE ->
  put[AT(l, o)] = NONE; putKey[AT(l, o)] = 0;
  DID(put_is_lost, l, o)
} }
inline answer_is_lost(l, o) { d_step {
  RUNS_ALL_WAYS(l) && (isWriterWaiting[AT(l, o)] || isRequestOpen[AT(l, o)]) ->
  isWriterWaiting[AT(l, o)] = 0; isRequestOpen[AT(l, o)] = 0;
  DID(answer_is_lost, l, o)
} }
inline offload_is_proven(l, o) { d_step {
  RUNS_ALL_WAYS(l) && isWriterWaiting[AT(l, o)] && put[AT(l, o)] == NONE && bucketRow[AT(l, o)] == WRITING &&
    HELD(l, o) == RIGHT ->
  bucketRow[AT(l, o)] = VERIFIED; isWriterWaiting[AT(l, o)] = 0;
  DID(offload_is_proven, l, o)
} }

/*
 * A class change: a copy in the bucket under a fresh key, which is proven, and the row turns to it. The old
 * bytes are left to
 * `clears_stray`.
 */
inline changes_class(l, o) { d_step {
  RUNS_ALL_WAYS(l) && IS(strays) && object[AT(l, o)] == LINKED && REMOTE_IS_CONFIRMED(l, o) && MAY_TOUCH(l) &&
    usedKeys[o] < KEYS ->
  LEAVE_KEY(l, o); TAKE_KEY(l, o); HELD(l, o) = RIGHT;
  DID(changes_class, l, o)
} }

/* Back home: the local replica is written anew from the bucket, and proven by `adopts_written_local`. */
inline fetch_begins(l, o) { d_step {
  RUNS_FETCHING(l) && object[AT(l, o)] == LINKED && diskRow[AT(l, o)] == ABSENT &&
    bucketRow[AT(l, o)] == VERIFIED ->
  diskRow[AT(l, o)] = WRITING;
  DID(fetch_begins, l, o)
} }
inline fetch_arrives(l, o) { d_step {
  RUNS_FETCHING(l) && object[AT(l, o)] == LINKED && diskRow[AT(l, o)] == WRITING && disk[ON(l, o)] == NONE &&
    bucketRow[AT(l, o)] == VERIFIED && HELD(l, o) == RIGHT ->
  disk[ON(l, o)] = RIGHT;
  DID(fetch_arrives, l, o)
} }
