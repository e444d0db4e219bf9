//! Tests of this room.

mod chains;
mod life;
mod rules;
