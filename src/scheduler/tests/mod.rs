//! Tests of the room: the simulation of the planner, and the rules one by one.

mod edits;
mod fixtures;
mod live;
mod live_rollouts;
mod platform;
mod pressure;
mod properties;
mod rollouts;
mod rules;
mod sim;
mod simulation;
mod specs;
mod statistics;
mod targeting;
mod world;
