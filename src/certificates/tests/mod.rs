//! Tests of this room.

mod authority;
mod chains;
mod life;
mod pebble;
mod rules;
