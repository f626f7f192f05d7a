//! A counter of visits, kept in Redis.

use std::time::Duration;

use redis::{Client, Cmd, Connection, FromRedisValue, RedisResult, cmd};

const PATIENCE: Duration = Duration::from_secs(2);

/// A connection that is made when it is first needed, and again after the server was away.
pub struct Visits {
    client: Client,
    connection: Option<Connection>,
}

impl Visits {
    pub fn new(client: Client) -> Visits {
        Visits { client, connection: None }
    }

    pub fn ping(&mut self) -> Result<(), String> {
        self.run(&cmd("PING"))
    }

    /// The number of this visit, from 1.
    pub fn count_one(&mut self) -> Result<u64, String> {
        self.run(cmd("INCR").arg("shop:visits"))
    }

    /// Tries a second time on a new connection, since a server that came back has closed the old one. A visit may then count twice,
    /// which a counter of visits can bear.
    fn run<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, String> {
        let was_connected = self.connection.is_some();
        let answer = self.attempt(command);
        let answer = if answer.is_err() && was_connected { self.attempt(command) } else { answer };
        answer.map_err(|error| format!("Redis: {error}"))
    }

    fn attempt<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(&self.client)?,
        };
        let answer = command.query(&mut connection)?;
        self.connection = Some(connection);
        Ok(answer)
    }
}

fn connect(client: &Client) -> RedisResult<Connection> {
    let connection = client.get_connection_with_timeout(PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    Ok(connection)
}
