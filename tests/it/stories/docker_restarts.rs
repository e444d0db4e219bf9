//! The engine goes away and comes back.

use crate::apps;
use crate::dockerd::{Dockerd, RIGHT_AGAIN, in_own_network};
use crate::harness::{World, until};
use crate::http;

#[test]
fn a_restart_of_docker_leaves_the_routes_right() {
    in_own_network(|| {
        let mut dockerd = Dockerd::start(true);
        let world = World::start_on(&dockerd.socket());
        let repo = world.app("steady", &apps::page("steady"));
        repo.push().ok();
        let answers = || world.get("steady", "/").body.contains("steady");
        assert!(answers());

        // Where containers live on without the engine, nobody notices.
        let load = world.load("steady", 100);
        dockerd.stop();
        dockerd.start_again(true);
        repo.push_files(&apps::page("steady as ever")).ok();
        assert!(world.get("steady", "/").body.contains("as ever"));
        assert!(load.none_failed() > 100);

        // Where they do not, they are back soon after it.
        for round in 1..=2 {
            dockerd.stop();
            dockerd.start_again(false);
            dockerd.stop();
            let lost = http::get(world.http, "steady.localhost", "/").map(|reply| reply.status);
            assert!(!matches!(lost, Ok(200)), "round {round}: nothing runs, and yet it answers: {lost:?}");
            let ready = dockerd.start_again(false);
            until("the app answers again", || answers().then_some(()));
            let took = ready.elapsed();
            println!("round {round}: the app answered {took:?} after Docker");
            assert!(took < RIGHT_AGAIN, "round {round}: it took {took:?} after Docker was ready");
        }
        world.cli(&["apps", "destroy", "steady", "--confirm", "steady"]).ok();
        world.until_nothing_is_left();
    });
}
