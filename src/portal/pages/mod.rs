//! The pages: each file holds its template's struct, its form, and its handlers.

pub(crate) mod account;
pub(crate) mod apps;
pub(crate) mod config;
pub(crate) mod data_plane;
pub(crate) mod deploys;
pub(crate) mod difference;
pub(crate) mod domains;
pub(crate) mod error;
pub(crate) mod gateway;
pub(crate) mod home;
pub(crate) mod jobs;
pub(crate) mod login;
pub(crate) mod logs;
pub(crate) mod members;
pub(crate) mod new_app;
pub(crate) mod new_organisation;
pub(crate) mod new_person;
pub(crate) mod operation;
pub(crate) mod overview;
pub(crate) mod releases;
pub(crate) mod rollout;
pub(crate) mod secrets;
pub(crate) mod settings;
pub(crate) mod setup;
pub(crate) mod statics;
pub(crate) mod volumes;
