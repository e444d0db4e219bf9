//! The SQL of this room, one file per thing.

pub mod config;
pub mod domains;
pub mod members;
pub mod people;
pub mod ports;
pub mod projects;
pub mod secrets;
