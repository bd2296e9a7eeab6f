//! However the refresh is disturbed, the figures come out the same, and no total, bucket, count or sum ever falls.

mod changed_rows;
mod clocks;
mod faults;
mod fixture;
mod floods;
mod items;
mod kills;
mod late_rows;
mod old_tables;
mod oracle;
mod outages;
mod protobuf;
mod random_steps;
mod recompute;
mod restored;
mod samples;
mod scrapes;
mod seals;
mod side_by_side;
mod slow;
mod tally;
mod traffic;
