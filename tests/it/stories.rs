//! One file for each part of the product.

mod access;
mod bad_versions;
mod command_line;
mod crashes;
mod day_to_day;
mod docker_restarts;
mod examples;
mod fail_points;
mod gateway;
mod https;
mod jobs;
mod load;
mod microshop;
mod plans;
mod stack_keys;
mod strategies;
mod traffic;
