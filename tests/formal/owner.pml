/*
 * R3, one ledger for each location: ledger and bucket hold a token that they advance together. A token is new
 * whenever one is made; only whether two are equal matters, so the model takes the smallest one that nobody
 * holds any more.
 */
#define IS_OTHERS(l, t) (current[OTHER(l)] == (t) || intended[0] == (t) || intended[1] == (t) || seen == (t))
/* Whoever advances at once may take its old token for the new one, if nobody else holds it. */
#define IS_FREE(l, t) (!IS_OTHERS(l, t) && (IS(advance_at_once) || (token != (t) && current[l] != (t))))
#define MAY_LOOK(l) (!IS(without_R3) && RUNS(l) && !inConflict[l] && ((l) == ORIGINAL || waiting >= SAW_LIFE || \
  (IS(without_wait) && isStarted)))

inline makes_token(l, to) {
  if
  :: IS_FREE(l, 1) -> to = 1
  :: else -> if
    :: IS_FREE(l, 2) -> to = 2
    :: else -> if
      :: IS_FREE(l, 3) -> to = 3
      :: else -> if
        :: IS_FREE(l, 4) -> to = 4
        :: else -> if
          :: IS_FREE(l, 5) -> to = 5
          :: else -> assert(IS_FREE(l, 6)); to = 6
        fi
      fi
    fi
  fi
  fi
}
/* What the invariants have to know of an advance. */
inline notes_advance(l) {
  assert(l == ORIGINAL || waiting != SAW_LIFE); /* a living original loses its bucket to no copy */
  if :: !IS(advance_at_once) && (l == COPY || didAdvance[COPY]) -> isStale[OTHER(l)] = 1 :: else fi;
  if
  :: l == ORIGINAL && waiting == WAITS -> didOriginalLook = 1
  :: l == COPY && waiting == SAW_SLEEP -> isSuperseded = 1
  :: else
  fi
}
/* The three steps that follow as one: they are explored by themselves, with only_tokens. */
inline advances_at_once(l) { d_step {
  IS(advance_at_once) && MAY_LOOK(l) && token == current[l] ->
  assert(!isStale[l]);
  makes_token(l, token); current[l] = token; owns[l] = 1; didAdvance[l] = 1;
  notes_advance(l);
  DID(advances_token, l, 0)
} }
inline intends_token(l) { d_step {
  !IS(advance_at_once) && MAY_LOOK(l) && intended[l] == 0 && token == current[l] ->
  makes_token(l, intended[l]);
  DID(intends_token, l, 0)
} }
/*
 * The conditional put. Nobody hears its answer before `commits_token`: a lost answer and a crash are the same
 * here.
 */
inline advances_token(l) { d_step {
  MAY_LOOK(l) && intended[l] != 0 && token == current[l] ->
  token = intended[l];
  notes_advance(l);
  DID(advances_token, l, 0)
} }
inline commits_token(l) { d_step {
  MAY_LOOK(l) && intended[l] != 0 && token == intended[l] ->
  assert(!isStale[l]); /* the other one advanced it meanwhile, and this one did not notice */
  current[l] = intended[l]; intended[l] = 0; owns[l] = 1; didAdvance[l] = 1;
  DID(commits_token, l, 0)
} }
/* Between two advances a look is enough. It is good for a period. */
inline compares_token(l) { d_step {
  !IS(without_R3) && RUNS(l) && didAdvance[l] && !owns[l] && !inConflict[l] && token == current[l] ->
  owns[l] = 1;
  DID(compares_token, l, 0)
} }
inline notices_conflict(l) { d_step {
  !IS(without_R3) && RUNS(l) && !inConflict[l] && token != current[l] && (intended[l] == 0 ||
    token != intended[l]) && (l == ORIGINAL || waiting != NOT_BEGUN) ->
  inConflict[l] = 1; owns[l] = 0; didAdvance[l] = 0; isSettled[l] = 0; isStale[l] = 0;
  DID(notices_conflict, l, 0)
} }

/*
 * An administrator's decision. Known keys, and other keys of known objects, are looked at; the rest stays as
 * it is. (The other decision, another prefix for a copy, is a conflict that never ends: the copy touches
 * nothing there.)
 */
inline adopts_object(l, o) {
  if
  :: object[AT(l, o)] == UNKNOWN || object[AT(l, o)] == PURGING
  :: else ->
    eviction[AT(l, o)] = IDLE; isWriterWaiting[AT(l, o)] = 0;
    if /* R6: as in `returns_remote` */
    :: bucketRow[AT(l, o)] == EVICTING && HELD(l, o) == RIGHT && RETURNS_ANEW && usedKeys[o] < KEYS ->
      LEAVE_KEY(l, o); TAKE_KEY(l, o); HELD(l, o) = RIGHT
    :: else
    fi;
    isKeyYoung[AT(l, o)] = 0;
    if
    :: bucketRow[AT(l, o)] != ABSENT && HELD(l, o) == RIGHT -> bucketRow[AT(l, o)] = VERIFIED
    :: else -> if
      :: bucket[SLOT(o, 0)] == RIGHT -> bucketRow[AT(l, o)] = VERIFIED; key[AT(l, o)] = 0
      :: else -> if
        :: bucket[SLOT(o, 1)] == RIGHT -> bucketRow[AT(l, o)] = VERIFIED; key[AT(l, o)] = 1
        :: else -> if
          :: bucketRow[AT(l, o)] == VERIFIED -> bucketRow[AT(l, o)] = SUSPECT
          :: else
        fi
      fi
    fi
    fi;
    assert(object[AT(l, o)] != LINKED || !IS_RIGHT_IN_BUCKET(o) || REMOTE_IS_CONFIRMED(l, o))
  fi
}
inline adopts_location(l) { d_step {
  RUNS(l) && IF_OWNED(inConflict[l]) ->
  inConflict[l] = 0; isSettled[l] = 0; didAdvance[l] = 0; owns[l] = 0; isStale[l] = 0; current[l] = token;
    intended[l] = 0; areOldRequestsOver[l] = 0;
  adopts_object(l, 0);
#if OBJECTS == 2
  adopts_object(l, 1);
#endif
  if :: l == COPY -> isSuperseded = 1; waiting = NEED_NOT :: else fi;
  DID(adopts_location, l, 0)
} }

/*
 * A whole period has passed since this process advanced the token, and the bucket still holds it. Whoever
 * else believes to own it has looked and noticed, or its own clock says that it must look before it removes
 * anything.
 */
inline settles(l) { d_step {
  !IS(without_R3) && !IS(without_R3c) && RUNS(l) && owns[l] && !isSettled[l] && token == current[l] ->
  isSettled[l] = 1; owns[OTHER(l)] = 0;
  DID(settles, l, 0)
} }

/*
 * A copy (another disk) lets the time pass in which a live owner advances the token. Only then it may do so.
 */
inline wait_begins() { d_step {
  isStarted && waiting == NOT_BEGUN ->
  waiting = WAITS; didOriginalLook = 0; seen = token;
  DID(wait_begins, COPY, 0)
} }
inline wait_is_over() { d_step {
  isStarted && waiting == WAITS && (IS(without_R3b) || token == seen) ->
  waiting = (didOriginalLook -> SAW_LIFE : SAW_SLEEP); didOriginalLook = 0; seen = 0; isStale[COPY] = 0;
  /*
   * R3c: a paused process looks at the clock before its next removal: longer than a period ago, it owns
   * nothing.
   */
  if :: IS(without_R3c) :: else -> owns[ORIGINAL] = 0 fi;
  /*
   * R3a: the intent came with the copied ledger. Its maker may still carry it out, and both would take the
   * token for their own.
   */
  if
  :: IS(without_R3a)
  :: else ->
    if :: intended[COPY] != 0 && token == intended[COPY] -> current[COPY] = intended[COPY] :: else fi;
    intended[COPY] = 0
  fi;
  DID(wait_is_over, COPY, 0)
} }
inline waits_anew() { d_step {
  isStarted && waiting == WAITS && token != seen ->
  seen = token; didOriginalLook = 0;
  DID(waits_anew, COPY, 0)
} }
