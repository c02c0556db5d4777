/* What happens to installations: crashes, snapshots, copies, damage. */
inline forgets_process(l, o) {
  isRequestOpen[AT(l, o)] = 0; isWriterWaiting[AT(l, o)] = 0; eviction[AT(l, o)] = IDLE; isKeyYoung[AT(l, o)] = 0
}
inline forgets_processes(l) {
  owns[l] = 0; didAdvance[l] = 0; inConflict[l] = 0; isSettled[l] = 0; areOldRequestsOver[l] = 0;
  forgets_process(l, 0);
#if OBJECTS == 2
  forgets_process(l, 1);
#endif
  if :: l == COPY -> waiting = NOT_BEGUN; seen = 0; didOriginalLook = 0 :: else fi
}
inline crashes(l) { d_step {
  RUNS(l) -> forgets_processes(l);
  DID(crashes, l, 0)
} }
inline old_requests_are_over(l) { d_step {
  RUNS(l) && IS(late_deletes) && !areOldRequestsOver[l] && !isDeleting[0] && !isDeleting[1] ->
    areOldRequestsOver[l] = 1;
  DID(old_requests_are_over, l, 0)
} }
inline copies_row(o, from, to) {
  object[AT(to, o)] = object[AT(from, o)]; diskRow[AT(to, o)] = diskRow[AT(from, o)];
  bucketRow[AT(to, o)] = bucketRow[AT(from, o)]; key[AT(to, o)] = key[AT(from, o)];
  TO_CLEAR(to, o, 0) = TO_CLEAR(from, o, 0); TO_CLEAR(to, o, 1) = TO_CLEAR(from, o, 1)
}
inline copies_ledger(from, to) {
  current[to] = current[from]; intended[to] = intended[from];
  copies_row(0, from, to);
#if OBJECTS == 2
  copies_row(1, from, to);
#endif
}
inline snapshot_is_taken() { d_step {
  IS(restore) && !isSnapshotTaken -> isSnapshotTaken = 1; copies_ledger(ORIGINAL, COPY);
  DID(snapshot_is_taken, ORIGINAL, 0)
} }
/*
 * In place: every process of the installation has ended, the disk is as it is now. It may be restored again.
 */
inline snapshot_is_restored() { d_step {
  isSnapshotTaken -> forgets_processes(ORIGINAL); copies_ledger(COPY, ORIGINAL); isStale[ORIGINAL] = 0;
  DID(snapshot_is_restored, ORIGINAL, 0)
} }
/* Ledger and disk are copied at one moment, running or not; no process, no request. */
inline copy_starts() { d_step {
  !IS(restore) && !IS(alone) && !isStarted -> isStarted = 1; copies_ledger(ORIGINAL, COPY);
  disk[ON(COPY, 0)] = disk[ON(ORIGINAL, 0)];
#if OBJECTS == 2
  disk[ON(COPY, 1)] = disk[ON(ORIGINAL, 1)];
#endif
  DID(copy_starts, COPY, 0)
} }
/*
 * One fault only, on a disk, never the last intact bytes, and not in the moment between a look and what rests
 * on it.
 */
inline bit_flips(l, o) { d_step {
  !IS(few_moves) && !isFlipped && disk[ON(l, o)] == RIGHT && WILL_STAY_IN_BUCKET(o) &&
    eviction[AT(l, o)] != TURNED_REMOTE ->
  isFlipped = 1; disk[ON(l, o)] = WRONG;
  DID(bit_flips, l, o)
} }
/*
 * Somebody else deletes from the bucket: what was promised before is excused, not what is promised from then
 * on.
 */
inline is_lost_outside(o) { d_step {
  IS(outside_loss) && !isFlipped && IS_RIGHT_IN_BUCKET(o) ->
  isFlipped = 1; bucket[SLOT(o, 0)] = NONE; bucket[SLOT(o, 1)] = NONE; acknowledged[o] = 0;
  DID(is_lost_outside, ORIGINAL, o)
} }
