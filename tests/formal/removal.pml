/* How bytes go. Everything that removes right or wrong bytes of an original is in this file. */

#define IF_LOOKING(condition) (IS(without_R1) || (condition))
#define IF_CONFIRMING(condition) (IS(without_R2) || (condition))
#define IF_OWNING(condition) (IS(without_R4) || (condition))
#define MAY_RELY_ON_REMOTE(l, o) (REMOTE_IS_CONFIRMED(l, o) && IS_PATIENT(l, o))
/*
 * "Duplicate" is said after a look; without one, of what the ledger believes; without the rule, of every
 * known file.
 */
#define IS_DUPLICATE(l, o) (IS(without_duplicate_check) || LOCAL_IS_CONFIRMED(l, o) || \
  REMOTE_IS_CONFIRMED(l, o) || \
  (IS(duplicate_without_look) && (diskRow[AT(l, o)] == VERIFIED || bucketRow[AT(l, o)] == VERIFIED)))

/*
 * R1, look before removal: the sweep and rows whose writer is gone. Right bytes are adopted, also those of an
 * object that is not linked; wrong ones go if nobody was promised them, or if another replica is confirmed
 * now.
 */
inline adopts_written_remote(l, o) { d_step {
  RUNS(l) && !IS(without_R1) && bucketRow[AT(l, o)] == WRITING && !isWriterWaiting[AT(l, o)] &&
    !isRequestOpen[AT(l, o)] && HELD(l, o) == RIGHT ->
  bucketRow[AT(l, o)] = VERIFIED;
  DID(adopts_written, l, o)
} }
inline adopts_written_local(l, o) { d_step {
  RUNS(l) && !IS(without_R1) && diskRow[AT(l, o)] == WRITING && !isRequestOpen[AT(l, o)] &&
    disk[ON(l, o)] == RIGHT ->
  diskRow[AT(l, o)] = VERIFIED;
  DID(adopts_written, l, o)
} }
inline gives_up_written_remote(l, o) { d_step {
  RUNS(l) && MAY_REMOVE(l) && bucketRow[AT(l, o)] == WRITING && !isRequestOpen[AT(l, o)] &&
    !isWriterWaiting[AT(l, o)] &&
    IF_LOOKING(HELD(l, o) == WRONG && (object[AT(l, o)] == UNLINKED || LOCAL_IS_CONFIRMED(l, o))) ->
    bucketRow[AT(l, o)] = EVICTING;
  DID(gives_up_written, l, o)
} }
inline gives_up_written_local(l, o) { d_step {
  RUNS_ALL_WAYS(l) && MAY_REMOVE_LOCAL(l) && diskRow[AT(l, o)] == WRITING && !isRequestOpen[AT(l, o)] &&
    IF_LOOKING(disk[ON(l, o)] == WRONG && (object[AT(l, o)] == UNLINKED || MAY_RELY_ON_REMOTE(l, o))) ->
    diskRow[AT(l, o)] = EVICTING;
  DID(gives_up_written, l, o)
} }

/*
 * R1 again: a row that a crash left evicting. The key's bytes are deleted only after another look at the
 * other replica.
 */
inline goes_on_deleting_remote(l, o) { d_step {
  RUNS(l) && MAY_REMOVE(l) && object[AT(l, o)] != PURGING && bucketRow[AT(l, o)] == EVICTING &&
    eviction[AT(l, o)] == IDLE &&
    MAY_DELETE_KEY(l, o) && HELD(l, o) != NONE &&
    IF_LOOKING((LOCAL_IS_CONFIRMED(l, o) || (HELD(l, o) == WRONG && object[AT(l, o)] == UNLINKED))) ->
    DELETE_REMOTE(l, o);
  DID(deletes_remote, l, o)
} }
inline goes_on_deleting_local(l, o) { d_step {
  RUNS_ALL_WAYS(l) && MAY_REMOVE_LOCAL(l) && object[AT(l, o)] != PURGING && diskRow[AT(l, o)] == EVICTING &&
    eviction[AT(l, o)] == IDLE && disk[ON(l, o)] != NONE &&
    IF_LOOKING((MAY_RELY_ON_REMOTE(l, o) || (disk[ON(l, o)] == WRONG && object[AT(l, o)] == UNLINKED))) ->
    disk[ON(l, o)] = NONE;
  DID(deletes_local, l, o)
} }
/*
 * R6: under a fresh key, for a deletion may be on its way to the old one. Where deletions take no time, the
 * old one does as well.
 */
#define RETURNS_ANEW (IS(late_deletes) && !IS(without_R6))
inline returns_remote(l, o) { d_step {
  RUNS(l) && !IS(without_R1) && object[AT(l, o)] != PURGING && bucketRow[AT(l, o)] == EVICTING &&
    eviction[AT(l, o)] == IDLE &&
    HELD(l, o) == RIGHT && (!RETURNS_ANEW || (MAY_TOUCH(l) && usedKeys[o] < KEYS)) &&
    !LOCAL_IS_CONFIRMED(l, o) && object[AT(l, o)] == LINKED ->
  if
  :: RETURNS_ANEW -> LEAVE_KEY(l, o); TAKE_KEY(l, o); HELD(l, o) = RIGHT
  :: else
  fi;
  bucketRow[AT(l, o)] = VERIFIED;
  DID(returns_to_verified, l, o)
} }
inline returns_local(l, o) { d_step {
  RUNS_ALL_WAYS(l) && !IS(without_R1) && object[AT(l, o)] != PURGING && diskRow[AT(l, o)] == EVICTING &&
    eviction[AT(l, o)] == IDLE &&
    disk[ON(l, o)] == RIGHT && !REMOTE_IS_CONFIRMED(l, o) && object[AT(l, o)] == LINKED ->
  diskRow[AT(l, o)] = VERIFIED;
  DID(returns_to_verified, l, o)
} }

/*
 * Keys that no row names: old bytes of a class change, a put that landed after its row had gone. They go for
 * another copy that is confirmed now. Right bytes become the replica where there is none, R6: under a fresh
 * key, for an earlier look may have sent their deletion.
 */
#define IS_STRAY(l, o, k) (TO_CLEAR(l, o, k) && (bucketRow[AT(l, o)] == ABSENT || key[AT(l, o)] != (k)))
#define ADOPTS_ANEW (RETURNS_ANEW && !IS(without_R6_for_strays))
inline clears_stray(l, o, k) { d_step {
  RUNS(l) && MAY_REMOVE(l) && IS_STRAY(l, o, k) && object[AT(l, o)] == LINKED && bucket[SLOT(o, k)] != NONE &&
    !isDeleting[SLOT(o, k)] && (LOCAL_IS_CONFIRMED(l, o) || MAY_RELY_ON_REMOTE(l, o)) ->
  isDeleting[SLOT(o, k)] = IS(late_deletes);
  bucket[SLOT(o, k)] = (IS(late_deletes) -> bucket[SLOT(o, k)] : NONE);
  DID(clears_stray, l, o)
} }
inline adopts_stray(l, o, k) { d_step {
  RUNS(l) && MAY_TOUCH(l) && IS_STRAY(l, o, k) && object[AT(l, o)] == LINKED && bucket[SLOT(o, k)] == RIGHT &&
    (bucketRow[AT(l, o)] == ABSENT || bucketRow[AT(l, o)] == SUSPECT) && (!ADOPTS_ANEW || usedKeys[o] < KEYS) ->
  if :: bucketRow[AT(l, o)] == SUSPECT -> LEAVE_KEY(l, o) :: else fi;
  if
  :: ADOPTS_ANEW -> TAKE_KEY(l, o); HELD(l, o) = RIGHT
  :: else -> key[AT(l, o)] = k; isKeyYoung[AT(l, o)] = 0
  fi;
  bucketRow[AT(l, o)] = VERIFIED;
  DID(adopts_stray, l, o)
} }

/* Nothing is there: the row goes. A put that lands later leaves bytes under a key that no row names. */
inline row_goes_remote(l, o) { d_step {
  RUNS(l) && (bucketRow[AT(l, o)] == EVICTING || (bucketRow[AT(l, o)] == WRITING && !isRequestOpen[AT(l, o)] &&
    !isWriterWaiting[AT(l, o)])) && HELD(l, o) == NONE ->
  LEAVE_KEY(l, o); FORGET_REMOTE(l, o); eviction[AT(l, o)] = IDLE;
  DID(row_goes, l, o)
} }
inline row_goes_local(l, o) { d_step {
  RUNS(l) && (diskRow[AT(l, o)] == EVICTING || (diskRow[AT(l, o)] == WRITING &&
    !isRequestOpen[AT(l, o)])) && disk[ON(l, o)] == NONE ->
  diskRow[AT(l, o)] = ABSENT; eviction[AT(l, o)] = IDLE;
  DID(row_goes, l, o)
} }

/*
 * R2: offload, second half. A look at the other replica; the turn in a transaction; the deletion; a crash may
 * come before it. Look and turn are one move here: the turn changes nothing that others see, so it may as
 * well follow at once.
 */
inline turns_local(l, o) { d_step {
  RUNS_ALL_WAYS(l) && MAY_REMOVE_LOCAL(l) && object[AT(l, o)] == LINKED && (diskRow[AT(l, o)] == VERIFIED ||
    diskRow[AT(l, o)] == SUSPECT) &&
    eviction[AT(l, o)] == IDLE && bucketRow[AT(l, o)] == VERIFIED && IF_CONFIRMING(HELD(l, o) == RIGHT) &&
    IS_PATIENT(l, o) ->
  diskRow[AT(l, o)] = EVICTING; eviction[AT(l, o)] = TURNED_LOCAL;
  DID(turns_local, l, o)
} }
inline deletes_local(l, o) { d_step {
  RUNS_ALL_WAYS(l) && MAY_REMOVE_LOCAL(l) && eviction[AT(l, o)] == TURNED_LOCAL &&
    diskRow[AT(l, o)] == EVICTING && disk[ON(l, o)] != NONE ->
  disk[ON(l, o)] = NONE; eviction[AT(l, o)] = IDLE;
  DID(deletes_local, l, o)
} }

/* R2 the other way: back home, or a bucket that is left. */
inline turns_remote(l, o) { d_step {
  RUNS_ALL_WAYS(l) && MAY_REMOVE(l) && object[AT(l, o)] == LINKED && eviction[AT(l, o)] == IDLE &&
    diskRow[AT(l, o)] == VERIFIED &&
    (bucketRow[AT(l, o)] == VERIFIED || bucketRow[AT(l, o)] == SUSPECT) && IF_CONFIRMING(disk[ON(l, o)] == RIGHT) ->
  bucketRow[AT(l, o)] = EVICTING; eviction[AT(l, o)] = TURNED_REMOTE;
  DID(turns_remote, l, o)
} }
inline deletes_remote(l, o) { d_step {
  RUNS(l) && MAY_REMOVE(l) && eviction[AT(l, o)] == TURNED_REMOTE && bucketRow[AT(l, o)] == EVICTING &&
    MAY_DELETE_KEY(l, o) &&
    HELD(l, o) != NONE ->
  DELETE_REMOTE(l, o); eviction[AT(l, o)] = IDLE;
  DID(deletes_remote, l, o)
} }
inline deletion_lands(o, k) { d_step {
  isDeleting[SLOT(o, k)] -> isDeleting[SLOT(o, k)] = 0; bucket[SLOT(o, k)] = NONE;
  DID(deletion_lands, ORIGINAL, o)
} }

/*
 * R1, twins: an unlinked object's right bytes go only when the linked one with the same bytes is confirmed
 * now.
 */
inline twin_gives_up_remote(l, o) { d_step {
  RUNS(l) && MAY_REMOVE(l) && object[AT(l, o)] == UNLINKED && !isRequestOpen[AT(l, o)] &&
    bucketRow[AT(l, o)] == VERIFIED &&
    HAS_LINKED_TWIN(l, o) && eviction[AT(l, o)] == IDLE &&
    (LOCAL_IS_CONFIRMED(l, 1 - (o)) || (IS(without_R1a) && REMOTE_IS_CONFIRMED(l, 1 - (o)))) ->
  bucketRow[AT(l, o)] = EVICTING; eviction[AT(l, o)] = TURNED_REMOTE;
  DID(twin_gives_up, l, o)
} }
inline twin_gives_up_local(l, o) { d_step {
  RUNS(l) && MAY_REMOVE_LOCAL(l) && object[AT(l, o)] == UNLINKED && !isRequestOpen[AT(l, o)] &&
    diskRow[AT(l, o)] == VERIFIED &&
    HAS_LINKED_TWIN(l, o) && eviction[AT(l, o)] == IDLE &&
    (LOCAL_IS_CONFIRMED(l, 1 - (o)) || REMOTE_IS_CONFIRMED(l, 1 - (o))) ->
  diskRow[AT(l, o)] = EVICTING; eviction[AT(l, o)] = TURNED_LOCAL;
  DID(twin_gives_up, l, o)
} }

/* R4: a user deletes for good. The bucket's bytes go only while its token is this ledger's. */
#define IF_OWNED(condition) (IS(without_R3) || (condition))
#define OWNS_NOW(l) (!IS(without_R3) && owns[l] && token == current[l])
/* Not advanced since its start, but the bucket holds this ledger's token. A copy has to wait first. */
#define IS_OURS(l) ((l) == ORIGINAL && (token == current[l] || (intended[l] != 0 && token == intended[l])))

/* What a user was entitled to delete concerns no invariant any more: it leaves the model. */
inline leaves_ledger(l, o) {
  object[AT(l, o)] = UNKNOWN; diskRow[AT(l, o)] = ABSENT; disk[ON(l, o)] = NONE; FORGET_REMOTE(l, o);
  isRequestOpen[AT(l, o)] = 0; eviction[AT(l, o)] = IDLE; put[AT(l, o)] = NONE; putKey[AT(l, o)] = 0;
  TO_CLEAR(l, o, 0) = 0; TO_CLEAR(l, o, 1) = 0
}
inline leaves_model(o) {
  leaves_ledger(ORIGINAL, o); leaves_ledger(COPY, o);
  bucket[SLOT(o, 0)] = NONE; bucket[SLOT(o, 1)] = NONE; isDeleting[SLOT(o, 0)] = 0; isDeleting[SLOT(o, 1)] = 0;
  acknowledged[o] = 0; usedKeys[o] = 0
}
inline user_deletes(l, o) { d_step {
  RUNS_WITH_USERS(l) && object[AT(l, o)] == LINKED && IF_OWNED(OWNS_NOW(l) || IS_OURS(l)) ->
  leaves_model(o);
  DID(user_deletes, l, o)
} }
inline user_deletes_in_vain(l, o) { d_step {
  RUNS_WITH_USERS(l) && object[AT(l, o)] == LINKED && IF_OWNED(!(OWNS_NOW(l) || IS_OURS(l))) ->
  object[AT(l, o)] = PURGING; eviction[AT(l, o)] = IDLE; isWriterWaiting[AT(l, o)] = 0;
  DID(user_deletes_in_vain, l, o)
} }
inline purges_remote(l, o) { d_step {
  RUNS_WITH_USERS(l) && object[AT(l, o)] == PURGING && bucketRow[AT(l, o)] != ABSENT && HELD(l, o) != NONE &&
    MAY_DELETE_KEY(l, o) &&
    IF_OWNING(OWNS_NOW(l)) ->
  if
  :: OWNS_NOW(l) -> leaves_model(o) /* a decision that waited until the ledger owned the bucket */
  :: else -> bucketRow[AT(l, o)] = EVICTING; DELETE_REMOTE(l, o)
  fi;
  DID(purges_remote, l, o)
} }
inline purges_local(l, o) { d_step {
  RUNS_WITH_USERS(l) && object[AT(l, o)] == PURGING && diskRow[AT(l, o)] != ABSENT &&
    IF_OWNING(!IS(one_disk) || OWNS_NOW(l)) ->
  if
  :: OWNS_NOW(l) -> leaves_model(o)
  :: else ->
    /*
     * A user's decision counts for the disk of the ledger where it was made, also where the last bytes are on
     * it.
     */
    disk[ON(l, o)] = NONE; diskRow[AT(l, o)] = ABSENT;
    if
    :: IS(one_disk) || WILL_STAY_IN_BUCKET(o) || disk[ON(OTHER(l), o)] == RIGHT
    :: else -> acknowledged[o] = 0
    fi
  fi;
  DID(purges_local, l, o)
} }

/* R5 and what readers find out. */
inline reader_gets_bytes(l, o) { d_step {
  RUNS_WITH_ALL(l) && object[AT(l, o)] == LINKED && diskRow[AT(l, o)] == VERIFIED && disk[ON(l, o)] == WRONG ->
  if
  :: IS(without_R5) -> DID(READER_GETS_WRONG_BYTES, l, o) assert(false)
  :: else -> diskRow[AT(l, o)] = SUSPECT
  fi;
  DID(finds_suspect, l, o)
} }
inline finds_local_missing(l, o) { d_step {
  RUNS_WITH_ALL(l) && object[AT(l, o)] == LINKED && diskRow[AT(l, o)] == VERIFIED && disk[ON(l, o)] == NONE ->
  diskRow[AT(l, o)] = SUSPECT;
  DID(finds_suspect, l, o)
} }
inline finds_remote_suspect(l, o) { d_step {
  RUNS_WITH_ALL(l) && object[AT(l, o)] == LINKED && bucketRow[AT(l, o)] == VERIFIED && HELD(l, o) != RIGHT ->
  bucketRow[AT(l, o)] = SUSPECT;
  DID(finds_suspect, l, o)
} }
inline finds_good(l, o) { d_step {
  RUNS_WITH_ALL(l) && object[AT(l, o)] == LINKED &&
    ((diskRow[AT(l, o)] == SUSPECT && disk[ON(l, o)] == RIGHT) || (bucketRow[AT(l, o)] == SUSPECT &&
    HELD(l, o) == RIGHT)) ->
  if
  :: diskRow[AT(l, o)] == SUSPECT && disk[ON(l, o)] == RIGHT -> diskRow[AT(l, o)] = VERIFIED
  :: else -> bucketRow[AT(l, o)] = VERIFIED
  fi;
  DID(finds_good, l, o)
} }

/*
 * A user sends an original again. "Duplicate" is an acknowledgement: the user's own file may be gone the
 * moment after.
 */
inline duplicate_is_acknowledged(l, o) { d_step {
  RUNS_WITH_ALL(l) && object[AT(l, o)] == LINKED && IS_DUPLICATE(l, o) ->
  acknowledged[o] = 1;
  DID(duplicate_is_acknowledged, l, o)
} }
inline repair_is_acknowledged(l, o) { d_step {
  RUNS_WITH_ALL(l) && object[AT(l, o)] == LINKED && (diskRow[AT(l, o)] == ABSENT || diskRow[AT(l, o)] == SUSPECT) &&
    !(diskRow[AT(l, o)] == VERIFIED || MAY_RELY_ON_REMOTE(l, o)) && eviction[AT(l, o)] == IDLE ->
  disk[ON(l, o)] = RIGHT; diskRow[AT(l, o)] = VERIFIED; acknowledged[o] = 1;
  DID(repair_is_acknowledged, l, o)
} }
