//! Properties of the plan over any watermark, clock, outage, setting and fleet, by running it against a fleet that
//! takes its time.

use proptest::prelude::*;

use super::*;

const RUN_TIME: Duration = Duration::from_secs(50);
const SEAL_TIME: Duration = Duration::from_secs(10);

fn minute(number: i64) -> Minute {
    Minute::floor("2026-11-24T20:00:00Z".parse().unwrap()).plus(number)
}

fn lateness(settle: i64, late: i64) -> Lateness {
    Lateness { settle: SignedDuration::from_secs(settle), late: SignedDuration::from_secs(late) }
}

const USUAL: Lateness = Lateness { settle: SignedDuration::from_secs(90), late: SignedDuration::from_secs(600) };

fn mark(through: i64, settled: i64, stride: i64) -> Watermark {
    Watermark {
        through: minute(through),
        settled: minute(settled),
        sealed: minute(settled).hour(),
        sealing: None,
        stride: Stride::from_minutes(stride).unwrap(),
        last_row: None,
        caught_up_at: None,
    }
}

/// When the minute before this one has just become due.
fn due_at(number: i64, lateness: &Lateness) -> Timestamp {
    minute(number).start() + lateness.settle
}

/// What steps take: so much each, and so much for each minute.
#[derive(Clone, Copy, Debug)]
struct Fleet {
    step: Duration,
    per_minute: Duration,
    per_seal: Duration,
}

/// One run as `read_due` and `seal_due` do it, against a fleet.
fn run(mark: &mut Watermark, now: Timestamp, lateness: &Lateness, fleet: Fleet) -> (Vec<Range<Minute>>, Vec<Hour>) {
    let (mut read, mut sealed, mut spent) = (Vec::new(), Vec::new(), Duration::ZERO);
    let catching_up = is_catching_up(mark, lateness.target(now), lateness);
    let mut reading = Reading::new(mark, now, lateness, RUN_TIME);
    let by = |mark: &Watermark, first| RUN_TIME.saturating_sub(seal_reserve(mark, first, SEAL_TIME));
    let mut first = true;
    while let Some(piece) = reading.next(mark.stride, by(mark, first).saturating_sub(spent)) {
        let (stride, length) = (mark.stride, piece.end.since(piece.start));
        assert!(length >= 1 && length <= stride.minutes(), "a step is bounded");
        let takes = fleet.step + fleet.per_minute * u32::try_from(length).unwrap();
        let end = by(mark, first);
        if catching_up && length > 1 {
            mark.stride = stride.halved();
        }
        if spent + takes > end {
            if first {
                mark.stride = stride.halved();
            }
            spent = end;
            break;
        }
        let before = mark.clone();
        *mark = after_read(mark, &piece, now + SignedDuration::try_from(spent).unwrap(), lateness);
        mark.stride = reading.done(&piece, stride, takes);
        assert!(mark.through >= before.through && mark.settled >= before.settled, "the watermark went back");
        assert!(mark.settled <= mark.through);
        spent += takes;
        read.push(piece);
        first = false;
    }
    while let Some(hour) = due_seal(mark)
        && spent + fleet.per_seal <= RUN_TIME
    {
        let at = now + SignedDuration::try_from(spent).unwrap();
        assert!(hour.end().start() <= at - lateness.late, "sealed before its last row can have come");
        *mark = after_seal(mark);
        spent += fleet.per_seal;
        sealed.push(hour);
    }
    (read, sealed)
}

fn fleets() -> impl Strategy<Value = Fleet> {
    // Time for three minutes in a run: a minute is read when it is new and once it is settled, and there must be some
    // to spare.
    let millis = |longest: u64| (1..longest).prop_map(Duration::from_millis);
    (millis(2_000), millis(13_000), millis(9_000)).prop_map(|(step, per_minute, per_seal)| Fleet {
        step,
        per_minute,
        per_seal,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_one_run_reads_joins_to_the_whole_range_without_hole_or_overlap(
        settled in -3_000_i64..0, ahead in 0_i64..12, new in 1_i64..400, stride in 1_i64..=60,
        settle in 0_i64..3_600, late in 0_i64..3_600,
    ) {
        let lateness = lateness(settle, late);
        let mut mark = mark(settled + ahead, settled, stride);
        let now = due_at(settled + ahead + new, &lateness);
        let fleet = Fleet { step: Duration::ZERO, per_minute: Duration::ZERO, per_seal: Duration::ZERO };
        let (mut read, _) = run(&mut mark, now, &lateness, fleet);
        read.sort_by_key(|piece| piece.start);
        prop_assert_eq!(read[0].start, minute(settled));
        prop_assert_eq!(read.last().unwrap().end, lateness.target(now));
        for pair in read.windows(2) {
            prop_assert_eq!(pair[0].end, pair[1].start);
        }
        prop_assert_eq!(mark.through, lateness.target(now));
        prop_assert_eq!(mark.settled, lateness.settled_at(now).clamp(minute(settled), mark.through));
    }

    #[test]
    fn every_run_moves_something_and_all_runs_reach_the_target_whatever_the_fleet(
        fleet in fleets(), outage in 1_i64..4_000, stride in 1_i64..=60,
    ) {
        let mut mark = mark(0, -10, stride);
        let mut sealed = Vec::new();
        // The clock goes on while runs catch up.
        let mut at = outage;
        let mut idle = 0;
        loop {
            let before = mark.clone();
            let (_, hours) = run(&mut mark, due_at(at, &USUAL), &USUAL, fleet);
            sealed.extend(hours);
            if mark.through == minute(at) && due_seal(&mark).is_none() {
                break;
            }
            let moved = (mark.through, mark.settled, mark.sealed) != (before.through, before.settled, before.sealed);
            // A step that was too long leaves a smaller one behind: six halvings from an hour to a minute.
            idle = if moved { 0 } else { idle + 1 };
            prop_assert!(idle <= 6, "{mark:?}");
            at += 1;
            prop_assert!(at < outage * 60 + 4_000, "it never catches up: {mark:?}");
        }
        prop_assert_eq!(sealed.first().copied(), Some(minute(-10).hour()).filter(|_| !sealed.is_empty()));
        for pair in sealed.windows(2) {
            prop_assert_eq!(pair[0].next(), pair[1], "each hour once, in order");
        }
        prop_assert!(mark.sealed <= mark.settled.hour());
    }

    #[test]
    fn a_clock_that_steps_anywhere_moves_nothing_back(steps in proptest::collection::vec(-5_000_i64..5_000, 1..30)) {
        let mut mark = mark(0, -10, 60);
        let fleet = Fleet { step: Duration::ZERO, per_minute: Duration::ZERO, per_seal: Duration::ZERO };
        for step in steps {
            let before = mark.clone();
            run(&mut mark, due_at(step, &USUAL), &USUAL, fleet);
            prop_assert!(mark.through >= before.through);
            prop_assert!(mark.settled >= before.settled && mark.sealed >= before.sealed);
        }
    }

    #[test]
    fn a_start_reaches_back_seven_days_at_most_and_says_what_it_gives_up(
        settled in -20_000_i64..0,
        ahead in 0_i64..12,
    ) {
        let target = minute(0);
        let Start { watermark, given_up } = start(Some(mark(settled + ahead, settled, 60)), None, target);
        prop_assert!(target.since(watermark.settled) <= REACH_MINUTES + 59);
        prop_assert!(watermark.settled >= minute(settled) && watermark.through >= minute(settled + ahead));
        match given_up {
            None => prop_assert_eq!(watermark.settled, minute(settled)),
            Some(minutes) => prop_assert_eq!(minutes, minute(settled)..watermark.settled),
        }
        prop_assert!(watermark.settled <= watermark.through && watermark.sealed <= watermark.settled.hour_ceil());
    }
}

#[test]
fn a_usual_run_reads_the_minutes_that_may_still_change_and_the_new_one_at_once() {
    let mut mark = mark(0, -10, 60);
    let (read, _) = run(&mut mark, due_at(1, &USUAL), &USUAL, fast());
    assert_eq!(read, [minute(-10)..minute(1)]);
    // 90 s after minute 1 began: rows of the minutes before -7 can come no more.
    assert_eq!((mark.through, mark.settled), (minute(1), minute(-8)));
}

/// How far behind a fleet is at most, and at the end of some hours, whose steps take so many seconds per minute read.
fn lag_of(seconds: u64) -> (i64, i64) {
    let per_minute = Duration::from_secs(seconds);
    let fleet = Fleet { step: Duration::ZERO, per_minute, per_seal: Duration::from_secs(1) };
    let mut mark = mark(0, -8, 60);
    let lags = (1..1_000).map(|at| {
        run(&mut mark, due_at(at, &USUAL), &USUAL, fleet);
        minute(at).since(mark.through)
    });
    lags.fold((0, 0), |(most, _), lag| (lag.max(most), lag))
}

#[test]
fn a_fleet_that_cannot_read_eleven_minutes_in_a_run_keeps_up_all_the_same() {
    // Each minute twice: when it is new, and when it is settled. A usual step of 176 s fails first.
    let (most, last) = lag_of(16);
    assert!(most <= 6 && last <= 1, "{most} {last}");
}

#[test]
fn a_fleet_that_can_just_read_two_minutes_in_a_run_falls_behind_no_further_than_rows_may_be_late() {
    let (most, last) = lag_of(25);
    assert!(most <= 12 && last <= 12, "{most} {last}");
}

/// How many minutes behind runs are that follow each other after an outage, against a fleet whose steps take so many
/// seconds, and so many for each minute they read.
fn lags(outage: i64, step: f64, per_minute: f64) -> Vec<i64> {
    let (step, per_minute) = (Duration::from_secs_f64(step), Duration::from_secs_f64(per_minute));
    let fleet = Fleet { step, per_minute, per_seal: Duration::from_secs(1) };
    let mut mark = mark(0, -8, 60);
    let runs = (outage..outage + 12).map(|at| {
        run(&mut mark, due_at(at, &USUAL), &USUAL, fleet);
        minute(at).since(mark.through)
    });
    runs.collect()
}

#[test]
fn queries_of_sixteen_seconds_catch_up_with_twenty_minutes_in_one_run() {
    assert_eq!(lags(21, 16.0, 0.0), [0; 12]);
}

#[test]
fn a_usual_step_that_would_take_sixty_seconds_is_made_smaller() {
    assert_eq!(lags(2, 0.0, 5.5), [2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn minutes_of_twenty_seconds_each_stay_no_further_behind_than_rows_may_be_late() {
    assert_eq!(lags(2, 0.0, 20.0), [2, 3, 4, 5, 6, 7, 8, 9, 10, 9, 8, 8]);
}

#[test]
fn a_first_fill_starts_on_the_hour_25_h_before_the_target() {
    let Start { watermark, given_up } = start(None, None, minute(13));
    assert_eq!((watermark.through, watermark.settled), (minute(-25 * 60), minute(-25 * 60)));
    assert_eq!((watermark.sealed, watermark.stride, given_up), (minute(-25 * 60).hour(), Stride::SHORTEST, None));
}

#[test]
fn a_watermark_that_was_taken_away_starts_with_the_first_minute_or_seven_days_ago() {
    let lately = start(None, Some(minute(-600)), minute(13)).watermark;
    assert_eq!((lately.through, lately.sealed), (minute(-600), minute(-600).hour()));
    let long_ago = start(None, Some(minute(-600_000)), minute(13)).watermark;
    assert_eq!(long_ago.through, minute(-REACH_MINUTES));
}

#[test]
fn a_stride_doubles_where_a_whole_one_took_under_half_of_the_run() {
    let mut reading = Reading::new(&mark(0, 0, 4), due_at(100, &USUAL), &USUAL, RUN_TIME);
    let stride = Stride::from_minutes(4).unwrap();
    let piece = reading.next(stride, RUN_TIME).unwrap();
    assert_eq!(piece, minute(0)..minute(4));
    assert_eq!(reading.done(&piece, stride, Duration::from_secs(24)), stride.doubled());
    // At 6 s a minute the rest of the run has room for 4.
    assert_eq!(reading.next(stride.doubled(), Duration::from_secs(26)), Some(minute(4)..minute(8)));
    assert_eq!(reading.next(stride.doubled(), Duration::from_secs(5)), None);
    let piece = reading.next(stride.doubled(), Duration::from_secs(50)).unwrap();
    assert_eq!(piece, minute(4)..minute(12));
    assert_eq!(reading.done(&piece, stride.doubled(), Duration::from_secs(25)), stride.doubled());
}

#[test]
fn folders_are_those_from_an_hour_before_to_the_hour_of_the_last_arrival() {
    let folders = |from, to, lateness: Lateness| {
        let folders = lateness.folders(&(minute(from)..minute(to)));
        (folders.start().to_string(), folders.end().to_string())
    };
    let hours = |first: &str, last: &str| (format!("2026-11-24T{first}"), format!("2026-11-24T{last}"));
    assert_eq!(folders(0, 11, USUAL), hours("19", "20"));
    assert_eq!(folders(40, 51, USUAL), hours("19", "21"));
    // Rows that are given longer to settle than to be late.
    assert_eq!(folders(25, 36, lateness(1_800, 600)), hours("19", "21"));
}

#[test]
fn a_quarter_of_an_hour_without_a_row_is_noticed_at_its_end() {
    let mut after = mark(45, 36, 60);
    after.last_row = Some(minute(29));
    assert_eq!(silent_quarter(minute(44), &after), Some(minute(30)..minute(45)));
    assert_eq!(silent_quarter(minute(45), &after), None, "noticed before");
    after.last_row = Some(minute(30));
    assert_eq!(silent_quarter(minute(44), &after), None);
}

const fn fast() -> Fleet {
    Fleet { step: Duration::ZERO, per_minute: Duration::ZERO, per_seal: Duration::ZERO }
}
