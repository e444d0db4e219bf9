//! What a client is told when a request could not be answered by its app.

use super::h1::request::HeadError;

/// A refusal or failure, in words for the person in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub status: u16,
    /// One short line.
    pub title: &'static str,
    /// What happened and what to do.
    pub detail: String,
    /// Seconds for `Retry-After`.
    pub retry_after: Option<u32>,
    /// `Location`, for a redirect.
    pub location: Option<String>,
    /// The route is in maintenance mode.
    pub is_maintenance: bool,
    /// `WWW-Authenticate`, for a 401.
    pub challenge: Option<String>,
    /// An answer that is given as it is, instead of words about the problem.
    pub verbatim: Option<Box<Verbatim>>,
}

/// Headers (no framing) and body of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verbatim {
    pub headers: Vec<(Box<str>, String)>,
    pub body: Vec<u8>,
}

impl Problem {
    pub(crate) fn new(status: u16, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            title,
            detail: detail.into(),
            retry_after: None,
            location: None,
            is_maintenance: false,
            challenge: None,
            verbatim: None,
        }
    }

    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    pub(crate) fn unknown_host() -> Self {
        Self::new(
            404,
            "No app answers at this address",
            "The name in the address bar belongs to no app here. Check the spelling; a new domain has to be added to its app first.",
        )
    }

    pub(crate) fn unknown_path() -> Self {
        Self::new(404, "Nothing answers at this path", "This name is known, but no app takes requests for this path.")
    }

    pub(crate) fn moved_to(location: String) -> Self {
        let moved = Self::new(308, "Use the secure address", "This app is served over HTTPS only.");
        Self { location: Some(location), ..moved }
    }

    /// A redirect a route asks for.
    pub(crate) fn elsewhere(status: u16, location: String) -> Self {
        let moved = Self::new(status, "This page is elsewhere", "The address you asked for leads to another one.");
        Self { location: Some(location), ..moved }
    }

    pub(crate) fn no_instance(reason: Option<&str>) -> Self {
        let detail = match reason {
            Some(reason) => format!("No instance of the app is running: {reason}."),
            None => "No instance of the app is running at the moment.".to_owned(),
        };
        Self::new(503, "The app is not running", detail).retry_after(5)
    }

    pub(crate) fn maintenance(message: &str, retry_after: Option<u32>) -> Self {
        let detail = if message.is_empty() { "The app is being worked on and will be back soon." } else { message };
        Self {
            retry_after: retry_after.or(Some(60)),
            is_maintenance: true,
            ..Self::new(503, "Down for maintenance", detail)
        }
    }

    pub(crate) fn control_plane_restarting() -> Self {
        Self::new(
            503,
            "The control plane is restarting",
            "Apps keep running meanwhile. This page is back in a few seconds; just reload it.",
        )
        .retry_after(2)
    }

    pub(crate) fn refused() -> Self {
        Self::new(
            502,
            "The app does not accept connections",
            "The app is registered, but nothing listens on its port. If this stays, look at the app's log and check that it listens on the port given in PORT.",
        )
    }

    pub(crate) fn broke_off() -> Self {
        Self::new(
            502,
            "The app closed the connection",
            "The app ended the connection before it had answered. The app's log may say why.",
        )
    }

    pub(crate) fn bad_answer(what: &str) -> Self {
        Self::new(
            502,
            "The app's answer cannot be passed on",
            format!("The app answered in a way that is not safe to forward: {what}."),
        )
    }

    pub(crate) fn timed_out() -> Self {
        Self::new(
            504,
            "The app took too long to answer",
            "The app accepted the request but sent no answer in time. Trying again may help; long work is better done in the background.",
        )
    }

    pub(crate) fn too_large(limit: u64) -> Self {
        Self::new(413, "The request is too large", format!("This app takes request bodies of at most {limit} bytes."))
    }

    pub(crate) fn bad_body() -> Self {
        Self::new(400, "The request is not valid", "The chunked framing of the request body is broken.")
    }

    pub(crate) fn too_many_requests(wait_secs: u32) -> Self {
        Self::new(
            429,
            "Too many requests",
            "This app limits how many requests it takes in a time. Please wait a little.",
        )
        .retry_after(wait_secs)
    }

    /// An answer made elsewhere.
    pub(crate) fn verbatim(status: u16, answer: Verbatim) -> Self {
        Self { verbatim: Some(Box::new(answer)), ..Self::new(status, "", "") }
    }

    pub(crate) fn forbidden() -> Self {
        Self::new(403, "You may not open this", "This app takes requests from certain addresses only.")
    }

    pub(crate) fn unauthorized(challenge: String) -> Self {
        let problem = Self::new(401, "Please sign in", "This app asks for a name and a password.");
        Self { challenge: Some(challenge), ..problem }
    }

    pub(crate) fn auth_unavailable() -> Self {
        Self::new(
            503,
            "Signing in is not possible at the moment",
            "The service that decides who may use this app does not answer.",
        )
        .retry_after(5)
    }

    pub(crate) fn overloaded() -> Self {
        Self::new(
            503,
            "The app has too much to do",
            "More requests came than can be answered in good time. Please try again in a moment.",
        )
        .retry_after(1)
    }

    pub(crate) fn circuit_open(wait_ms: u64) -> Self {
        let seconds = u32::try_from(wait_ms.div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
        Self::new(
            503,
            "The app is in trouble",
            "Most of its answers were errors, so requests are held back for a moment to let it recover.",
        )
        .retry_after(seconds)
    }

    pub(crate) fn waiting_room_full() -> Self {
        Self::new(503, "The app is being started", "Many are waiting for it already. Please try again in a moment.")
            .retry_after(5)
    }

    pub(crate) fn did_not_start(reason: Option<&str>) -> Self {
        let why = reason.map_or(String::new(), |reason| format!(" ({reason})"));
        let detail = format!("The app was asked to start but was not ready in time{why}. Please try again.");
        Self::new(504, "The app took too long to start", detail).retry_after(10)
    }

    pub(crate) fn head_timeout() -> Self {
        Self::new(408, "The request took too long to arrive", "The request head was not complete in time.")
    }
}

impl From<HeadError> for Problem {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::Malformed(reason) => {
                Self::new(400, "The request is not valid", format!("It was refused because {reason}."))
            }
            HeadError::MethodRefused => {
                Self::new(405, "The method is not allowed", "CONNECT and TRACE are not served here.")
            }
            HeadError::TargetTooLong => {
                Self::new(414, "The address is too long", "Addresses of up to 16 KiB are served.")
            }
            HeadError::Expectation => {
                Self::new(417, "The expectation is not known", "Only `Expect: 100-continue` is served.")
            }
            HeadError::TooLarge => Self::new(
                431,
                "The request head is too large",
                "At most 32 KiB and 100 header lines are served. Old cookies are the most common cause: clear the cookies of this site.",
            ),
            HeadError::Version => {
                Self::new(505, "The HTTP version is not served", "HTTP/1.0 and HTTP/1.1 are served here.")
            }
        }
    }
}
