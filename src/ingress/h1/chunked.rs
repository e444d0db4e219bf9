//! The chunked transfer coding (RFC 9112 section 7.1) as a strict state machine.
//!
//! It never looks ahead and never buffers: it says of each run of input bytes whether they are framing or data, so
//! that a body can be passed on as it is, counted, or taken out of its chunks.

/// Longest chunk-size line, extensions included. Extensions have no known use; long ones are an attack.
const MAX_SIZE_LINE: u16 = 512;
/// Largest trailer section in bytes.
const MAX_TRAILERS: u16 = 8 * 1024;
/// Hex digits of a chunk size: 2^60 bytes are enough and can't overflow.
const MAX_DIGITS: u8 = 15;

/// Why a chunked body is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadChunk;

/// What the first bytes of the input are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// So many bytes of framing.
    Meta(usize),
    /// So many bytes of content.
    Data(usize),
    /// All input is used up; the body goes on.
    More,
    /// The body has ended.
    End,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    End,
}

/// Reads one chunked body.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    state: State,
    digits: u8,
    /// Bytes of the current size line or of the trailer section so far.
    line: u16,
    left: u64,
    /// Lower-case name of the current trailer field.
    name: Vec<u8>,
}

impl Chunks {
    /// Classifies the start of `input`. Call again with the rest until [`Step::More`] or [`Step::End`].
    pub(crate) fn step(&mut self, input: &[u8]) -> Result<Step, BadChunk> {
        if self.state == State::End {
            return Ok(Step::End);
        }
        if input.is_empty() {
            return Ok(Step::More);
        }
        if self.state == State::Data {
            let n = (input.len() as u64).min(self.left);
            self.left -= n;
            if self.left == 0 {
                self.state = State::DataCr;
            }
            return Ok(Step::Data(n as usize));
        }
        for (at, byte) in input.iter().enumerate() {
            self.state = self.next(*byte)?;
            if matches!(self.state, State::Data | State::End) {
                return Ok(Step::Meta(at + 1));
            }
        }
        Ok(Step::Meta(input.len()))
    }

    /// The next byte is content.
    pub(crate) fn is_in_data(&self) -> bool {
        self.state == State::Data
    }

    fn next(&mut self, byte: u8) -> Result<State, BadChunk> {
        let token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let text = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        match (self.state, byte) {
            (State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if self.digits < MAX_DIGITS => {
                let digit = (byte as char).to_digit(16).ok_or(BadChunk)?;
                self.left = (self.left << 4) | u64::from(digit);
                self.digits += 1;
                Ok(State::Size)
            }
            (State::Size, b'\r') if self.digits > 0 => Ok(State::SizeLf),
            (State::Size, b';') if self.digits > 0 => Ok(State::Extension),
            (State::Extension, b'\r') => Ok(State::SizeLf),
            (State::Extension, _) if text => self.count(MAX_SIZE_LINE, State::Extension),
            (State::SizeLf, b'\n') => {
                (self.digits, self.line) = (0, 0);
                Ok(if self.left == 0 { State::TrailerStart } else { State::Data })
            }
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size),
            (State::TrailerStart, b'\r') => Ok(State::EndLf),
            (State::TrailerStart, _) if token => {
                self.name.clear();
                self.name.push(byte.to_ascii_lowercase());
                self.count(MAX_TRAILERS, State::TrailerName)
            }
            (State::TrailerName, b':') if !is_forbidden_trailer(&self.name) => Ok(State::TrailerValue),
            (State::TrailerName, _) if token => {
                self.name.push(byte.to_ascii_lowercase());
                self.count(MAX_TRAILERS, State::TrailerName)
            }
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, _) if text => self.count(MAX_TRAILERS, State::TrailerValue),
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            (State::EndLf, b'\n') => Ok(State::End),
            _ => Err(BadChunk),
        }
    }

    fn count(&mut self, limit: u16, state: State) -> Result<State, BadChunk> {
        self.line += 1;
        if self.line > limit { Err(BadChunk) } else { Ok(state) }
    }
}

/// Fields that steer framing, routing or trust must not come after the body (RFC 9110 section 6.5.1).
fn is_forbidden_trailer(name: &[u8]) -> bool {
    const FORBIDDEN: [&[u8]; 10] = [
        b"transfer-encoding",
        b"content-length",
        b"host",
        b"connection",
        b"upgrade",
        b"te",
        b"authorization",
        b"cookie",
        b"set-cookie",
        b"forwarded",
    ];
    FORBIDDEN.contains(&name) || name.starts_with(b"x-forwarded-")
}
