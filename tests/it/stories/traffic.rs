//! What a manifest says of the outside's traffic holds at the ingress: paths, limits, and ports that are not HTTP.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{World, until};
use crate::http;

const APP: &str = "traffic";

const COMPOSE: &str = r#"
x-python: &python {image: python:3.13-slim}
services:
  echo:
    <<: *python
    command:
      - python
      - -uc
      - |
        from http.server import *
        class Echo(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            def do_GET(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                body = self.path.encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            do_POST = do_GET
        ThreadingHTTPServer(("0.0.0.0", 8000), Echo).serve_forever()
    x-wharf:
      port: 8000
      routes: [{path: /}, {path: /api, strip_path: true}]
      limits: {body: 1k, timeouts: {request: 5s}}
  slow:
    <<: *python
    command: python -um http.server 8000
    x-wharf:
      port: 8000
      routes: [{path: /slow, strip_path: true}]
      limits: {rate: {requests: 3, per: 1h, burst: 3}}
  store:
    image: redis:7
    command: [redis-server, --save, "", --appendonly, "no", --protected-mode, "no"]
    ports: ["6379"]
  datagrams:
    <<: *python
    command:
      - python
      - -uc
      - |
        import socket
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(("0.0.0.0", 9999))
        while True:
            data, peer = s.recvfrom(2048)
            s.sendto(data.upper(), peer)
    ports: ["9999/udp"]
"#;

#[test]
fn what_a_manifest_says_of_traffic_holds() {
    let world = World::start();
    world.cli(&["apps", "create", APP, "--no-remote"]).ok();
    let dir = world.directory(APP);
    let file = dir.join("compose.yaml");
    std::fs::write(&file, COMPOSE).unwrap();
    let file = file.display().to_string();
    let applied = world.cli(&["apply", "-f", &file, "--app", APP]).ok().says("v1 is live");
    applied.says("leads to store:6379").says("leads to datagrams:9999");

    assert_eq!(world.get(APP, "/a/b").body, "/a/b");
    assert_eq!(world.get(APP, "/api/a?q=1").body, "/a?q=1", "the path of the route is taken off");
    body_limit(&world);
    let answers: Vec<u16> = (0..5).map(|_| world.get(APP, "/slow/").status).collect();
    assert_eq!(answers, [200, 200, 200, 429, 429], "three requests an hour");
    assert_eq!(world.get(APP, "/").status, 200, "the limit is that service's alone");

    let status = world.cli(&["status", "--app", APP, "--json"]).ok().json();
    tcp(port(&status, "store"));
    udp(port(&status, "datagrams"));
    platform_ports_are_refused(&world, &dir);
    world.cli(&["apps", "destroy", APP, "--confirm", APP]).ok();
    world.until_nothing_is_left();
    let gone = || TcpStream::connect(("127.0.0.1", port(&status, "store"))).is_err();
    until("the port is closed", || gone().then_some(()));
}

fn body_limit(world: &World) {
    let host = format!("{APP}.localhost");
    let post = |bytes: usize| {
        let mut connection = http::Connection::open(world.http).unwrap();
        connection.send("POST", &host, "/", "", &"x".repeat(bytes)).unwrap().status
    };
    assert_eq!((post(1_000), post(5_000)), (200, 413));
}

/// The port outside that leads to a service.
fn port(status: &Value, service: &str) -> u16 {
    let all = status["ports"].as_array().unwrap();
    let one = all.iter().find(|p| p["service"] == service).unwrap_or_else(|| panic!("{status}"));
    one["address"].as_str().unwrap().rsplit_once(':').unwrap().1.parse().unwrap()
}

fn tcp(port: u16) {
    let answer = until("redis answers on its port", || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        stream.write_all(b"PING\r\n").ok()?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).ok()?;
        Some(answer)
    });
    assert_eq!(&answer, b"+PONG\r\n");
}

fn udp(port: u16) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut buffer = [0; 64];
    let answer = until("datagrams come back", || {
        socket.send_to(b"hello", ("127.0.0.1", port)).unwrap();
        let (length, _) = socket.recv_from(&mut buffer).ok()?;
        Some(buffer[..length].to_vec())
    });
    assert_eq!(answer, b"HELLO");
}

fn platform_ports_are_refused(world: &World, dir: &std::path::Path) {
    let file = dir.join("greedy.yaml");
    let with = |port: u16| format!("services: {{db: {{image: 'redis:7', ports: ['{port}:6379']}}}}");
    let greedy = file.display().to_string();
    for (port, why) in [(world.ssh, "the platform itself uses it"), (53, "the machine's own")] {
        std::fs::write(&file, with(port)).unwrap();
        world.cli(&["apply", "-f", &greedy, "--app", APP]).fails_saying(why);
    }
}
