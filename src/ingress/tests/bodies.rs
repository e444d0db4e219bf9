//! Bodies of any size and pace, both ways.

use super::harness::*;

const MB: usize = 1 << 20;

/// Reads a chunked body up to its end.
async fn chunked(wire: &mut Wire) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let size = usize::from_str_radix(wire.until("\r\n").await.trim(), 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend(wire.exactly(size).await);
        assert_eq!(wire.exactly(2).await, b"\r\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_stream_both_ways_as_they_come_with_trailers() {
    let server = Server::start(|mut wire| async move {
        wire.head().await;
        wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        // Answers each chunk before the next one is sent: nothing may be held back.
        for _ in 0..3 {
            assert_eq!(wire.exactly(8).await, b"3\r\nabc\r\n");
            wire.send("4\r\ndefg\r\n").await;
        }
        assert_eq!(wire.until("\r\n\r\n").await, "0\r\nX-Sum: 9\r\n\r\n");
        wire.send("0\r\nX-Sum: 12\r\n\r\n").await;
        wire.rest().await;
    })
    .await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let mut wire = ingress.connect().await;
    wire.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n").await;
    wire.head().await;
    for _ in 0..3 {
        wire.send("3\r\nabc\r\n").await;
        assert_eq!(wire.exactly(9).await, b"4\r\ndefg\r\n");
    }
    wire.send("0\r\nX-Sum: 9\r\n\r\n").await;
    assert_eq!(wire.until("\r\n\r\n").await, "0\r\nX-Sum: 12\r\n\r\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_big_upload_is_streamed_not_buffered() {
    let server = Server::start(|mut wire| async move {
        wire.head().await;
        // The first byte arrives long before the last was sent.
        wire.exactly(1).await;
        wire.send("HTTP/1.1 103 Early Hints\r\n\r\n").await;
        let mut left = 50 * MB - 1;
        while left > 0 {
            let n = left.min(MB);
            assert!(wire.exactly(n).await.iter().all(|byte| *byte == b'u'));
            left -= n;
        }
        wire.send(OK).await;
        wire.rest().await;
    })
    .await;
    let route = with_policy(route("a", &[server.address]), |policy| policy.max_body = None);
    let ingress = Ingress::start(vec![route]).await;
    let mut wire = ingress.connect().await;
    wire.send(format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n", 50 * MB)).await;
    wire.send("u").await;
    assert!(wire.head().await.starts_with("HTTP/1.1 103 "));
    let megabyte = vec![b'u'; MB];
    for _ in 0..49 {
        wire.send(&megabyte).await;
    }
    wire.send(&megabyte[1..]).await;
    assert_eq!(wire.message().await.unwrap().1, b"ok");
    // The connection is good for another request on both sides.
    assert_eq!(ingress.status().await.routes[0].bytes_in, 50 * MB as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn big_downloads_arrive_whole_in_every_framing() {
    let server = Server::start(|mut wire| async move {
        while let Some((head, _)) = wire.message().await {
            let body = "d".repeat(3 * MB);
            let keep = match head.split(' ').nth(1).unwrap() {
                "/length" => {
                    wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
                    true
                }
                "/chunks" => {
                    wire.send(format!(
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                        body.len()
                    ))
                    .await;
                    true
                }
                _ => {
                    wire.send(format!("HTTP/1.0 200 OK\r\n\r\n{body}")).await;
                    false
                }
            };
            if !keep {
                return;
            }
        }
    })
    .await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let mut wire = ingress.connect().await;
    for path in ["/length", "/chunks", "/close", "/length"] {
        wire.send(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n")).await;
        let head = wire.head().await;
        let body = match header(&head, "content-length") {
            Some(length) => wire.exactly(length.parse().unwrap()).await,
            None => {
                let body = chunked(&mut wire).await;
                assert_eq!(wire.exactly(2).await, b"\r\n");
                body
            }
        };
        assert!(body.len() == 3 * MB && body.iter().all(|byte| *byte == b'd'), "{path}");
    }
    let answer = ingress.raw("GET /close HTTP/1.0\r\nHost: a.test\r\n\r\n").await;
    assert!(answer.len() > 3 * MB && !answer.contains("chunked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_over_the_limit_are_refused_before_and_while_they_come() {
    let server = Server::start(|mut wire| async move {
        while let Some((head, _)) = wire.message().await {
            // Answering before the body is there would be an early answer, not what is tried here.
            if header(&head, "transfer-encoding").is_some() {
                wire.rest().await;
            }
            wire.send(OK).await;
        }
    })
    .await;
    let ingress =
        Ingress::start(vec![with_policy(route("a", &[server.address]), |policy| policy.max_body = Some(10))]).await;
    let announced = ingress.raw("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 11\r\n\r\n").await;
    assert!(announced.starts_with("HTTP/1.1 413 "), "{announced}");
    let chunks = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n";
    let mut wire = ingress.connect().await;
    wire.send(chunks).await;
    wire.send("5\r\nabcde\r\n0\r\n\r\n").await;
    assert!(wire.head().await.starts_with("HTTP/1.1 413 "));
    let fits = ingress
        .raw("POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nContent-Length: 10\r\n\r\n0123456789")
        .await;
    assert!(fits.starts_with("HTTP/1.1 200 "), "{fits}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let server = Server::start(|mut wire| async move {
        wire.head().await;
        wire.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
    })
    .await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let mut wire = ingress.connect().await;
    wire.send(format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n", 20 * MB)).await;
    let sending = vec![b'x'; MB];
    wire.send(&sending).await;
    let (head, body) = wire.message().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 403 ") && body == b"no", "{head}");
    assert_eq!(header(&head, "connection"), Some("close"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_breaks_off_is_not_passed_as_complete() {
    for response in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let server = Server::start(move |mut wire| async move {
            wire.head().await;
            wire.send(response).await;
        })
        .await;
        let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
        let answer = ingress.raw("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
        assert!(answer.contains("abc") && !answer.ends_with("0\r\n\r\n"), "{answer}");
    }
}
