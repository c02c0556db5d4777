/* All moves of an installation with one object. */
inline moves_with(l, o) {
  if
  :: upload_begins(l, o)
  :: upload_arrives(l, o)
  :: upload_is_acknowledged(l, o)
  :: offload_begins(l, o)
  :: answer_is_lost(l, o)
  :: offload_is_proven(l, o)
  :: turns_local(l, o)
  :: deletes_local(l, o)
  :: turns_remote(l, o)
  :: gives_up_written_local(l, o)
  :: goes_on_deleting_local(l, o)
  :: row_goes_local(l, o)
  :: adopts_written_local(l, o)
  :: returns_local(l, o)
  :: put_lands(l, o)
  :: put_is_lost(l, o)
  :: gives_up_written_remote(l, o)
  :: goes_on_deleting_remote(l, o)
  :: deletes_remote(l, o)
  :: row_goes_remote(l, o)
  :: changes_class(l, o)
  :: clears_stray(l, o, 0)
  :: clears_stray(l, o, 1)
  :: adopts_stray(l, o, 0)
  :: adopts_stray(l, o, 1)
  :: adopts_written_remote(l, o)
  :: returns_remote(l, o)
  :: direct_upload_begins(l, o)
  :: direct_upload_is_acknowledged(l, o)
  :: fetch_begins(l, o)
  :: fetch_arrives(l, o)
  :: reader_gets_bytes(l, o)
  :: finds_local_missing(l, o)
  :: finds_remote_suspect(l, o)
  :: finds_good(l, o)
  :: duplicate_is_acknowledged(l, o)
  :: repair_is_acknowledged(l, o)
  :: bit_flips(l, o)
  :: user_deletes(l, o)
  :: user_deletes_in_vain(l, o)
  :: purges_remote(l, o)
  :: purges_local(l, o)
#if OBJECTS == 2
  :: twin_gives_up_remote(l, o)
  :: twin_gives_up_local(l, o)
#endif
  fi
}
inline moves_of(l) {
  if
  :: moves_with(l, 0)
#if OBJECTS == 2
  :: moves_with(l, 1)
#endif
  :: crashes(l)
  :: old_requests_are_over(l)
  :: advances_at_once(l)
  :: intends_token(l)
  :: advances_token(l)
  :: commits_token(l)
  :: compares_token(l)
  :: notices_conflict(l)
  :: settles(l)
  :: adopts_location(l)
  fi
}

/* What the promise says holds after every move; any move that is possible may come next. */
init {
  d_step { token = 1; current[ORIGINAL] = 1 }
  do
  :: moves_of(ORIGINAL)
  :: snapshot_is_taken()
  :: snapshot_is_restored()
  :: moves_of(COPY)
  :: copy_starts()
  :: wait_begins()
  :: wait_is_over()
  :: waits_anew()
  :: deletion_lands(0, 0)
  :: deletion_lands(0, 1)
#if OBJECTS == 2
  :: deletion_lands(1, 0)
  :: deletion_lands(1, 1)
#endif
  :: is_lost_outside(0)
  :: d_step { !PROMISE_IS_KEPT -> DID(PROMISE_IS_BROKEN, ORIGINAL, 0) assert(false) }
  :: d_step { !IS(only_promise) && IS_ROBBED(0) -> DID(ORIGINAL_IS_ROBBED, ORIGINAL, 0) assert(false) }
  od
}
