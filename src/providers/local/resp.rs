//! As much of Redis's protocol as it takes to log in and to read and change settings.

use std::io::{Error, Result};
use std::net::Ipv4Addr;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// The longest text that is taken in an answer.
const LONGEST: usize = 1 << 20;

/// A connection that has logged in.
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub async fn connect(port: u16, password: &str) -> Result<Client> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let mut client = Client { stream: BufReader::new(stream) };
        client.ask(&["AUTH", password]).await?;
        client.ask(&["PING"]).await?;
        Ok(client)
    }

    pub async fn setting(&mut self, name: &str) -> Result<String> {
        let answer = self.ask(&["CONFIG", "GET", name]).await?;
        answer.into_iter().nth(1).ok_or_else(|| Error::other(format!("it has no setting `{name}`")))
    }

    pub async fn set(&mut self, name: &str, value: &str) -> Result<()> {
        self.ask(&["CONFIG", "SET", name, value]).await.map(drop)
    }

    /// One command; the texts of its answer.
    async fn ask(&mut self, words: &[&str]) -> Result<Vec<String>> {
        let mut request = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| request.push_str(&format!("${}\r\n{word}\r\n", word.len())));
        self.stream.get_mut().write_all(request.as_bytes()).await?;
        let head = self.line().await?;
        match head.split_at_checked(1) {
            Some(("+" | ":", text)) => Ok(vec![text.to_owned()]),
            Some(("-", words)) => Err(Error::other(words.to_owned())),
            Some(("$", length)) => Ok(vec![self.bulk(length).await?]),
            Some(("*", count)) => {
                let count: usize = count.parse().ok().filter(|count| *count <= 1024).ok_or_else(not_redis)?;
                let mut texts = Vec::with_capacity(count);
                for _ in 0..count {
                    let head = self.line().await?;
                    let length = head.strip_prefix('$').ok_or_else(not_redis)?.to_owned();
                    texts.push(self.bulk(&length).await?);
                }
                Ok(texts)
            }
            _ => Err(not_redis()),
        }
    }

    async fn bulk(&mut self, length: &str) -> Result<String> {
        let length: usize = length.parse().ok().filter(|length| *length <= LONGEST).ok_or_else(not_redis)?;
        let mut bytes = vec![0; length + 2];
        self.stream.read_exact(&mut bytes).await?;
        bytes.truncate(length);
        String::from_utf8(bytes).map_err(|_| not_redis())
    }

    async fn line(&mut self) -> Result<String> {
        let mut bytes = Vec::new();
        (&mut self.stream).take(4096).read_until(b'\n', &mut bytes).await?;
        let text = String::from_utf8(bytes).map_err(|_| not_redis())?;
        text.strip_suffix("\r\n").map(str::to_owned).ok_or_else(not_redis)
    }
}

fn not_redis() -> Error {
    Error::other("it does not speak Redis's protocol")
}
