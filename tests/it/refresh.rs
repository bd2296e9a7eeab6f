//! However the refresh is disturbed, the figures come out the same, and no total, bucket, count or sum ever falls.

mod changed_rows;
mod clocks;
mod fixture;
mod items;
mod kills;
mod oracle;
mod outages;
mod side_by_side;
mod slow;
mod tally;
mod traffic;
