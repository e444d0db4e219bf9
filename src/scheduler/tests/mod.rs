//! Tests of the room: the simulation of the planner, and the rules one by one.

mod edits;
mod fixtures;
mod live;
mod platform;
mod properties;
mod rules;
mod sim;
mod simulation;
mod world;
