//! What a person types and reads: a session through a line client in a terminal.

mod support;

use std::process::Command;

use rexpect::session::spawn_command;

use support::Server;

/// bash can talk TCP, and is there where `nc` is not.
fn client(port: u16) -> Command {
    let mut client = Command::new("bash");
    client.arg("-c").arg(format!(
        "exec 3<>/dev/tcp/127.0.0.1/{port}; cat <&3 & cat >&3; wait"
    ));
    client
}

#[test]
fn a_person_can_talk_to_the_server() -> Result<(), rexpect::error::Error> {
    let server = Server::start(&["--dialect", "classic"]);
    let mut terminal = spawn_command(client(server.primary.port()), Some(60_000))?;
    terminal.exp_string("Stats server ready")?;
    terminal.send_line("2.5")?;
    terminal.send_line("  3.5")?;
    terminal.send_line("mean")?;
    terminal.exp_regex("\n3\\.00\r\n")?;
    terminal.send_line("hello")?;
    terminal.exp_string("Error: unrecognized command")?;
    terminal.send_line("exit")?;
    terminal.exp_string("EXIT STATS: count 2 mean 3.00 stddev 0.71")?;
    assert_eq!(
        server.means(),
        "means_count 1 mean_of_means 3.00 stddev_of_means nan\n"
    );
    Ok(())
}

#[test]
fn ctrl_c_at_the_terminal_of_the_server_lets_sessions_end() -> Result<(), rexpect::error::Error> {
    let mut command = support::server_command();
    command.args(["0", "0", "--bind", "127.0.0.1"]);
    let mut terminal = spawn_command(command, Some(60_000))?;
    let (_, address) = terminal.exp_regex("primary=[0-9.:]+")?;
    let address = address
        .trim_start_matches("primary=")
        .parse()
        .expect("an address");
    let mut client = support::Client::connect(address);
    client.send("5\n");
    assert_eq!(client.ask("count"), "1");
    terminal.send_control('c')?;
    support::eventually("new clients are refused", || {
        std::net::TcpStream::connect(address).is_err()
    });
    assert_eq!(client.ask("sum"), "5");
    assert_eq!(client.ask("exit"), "EXIT STATS: count 1 mean 5 stddev nan");
    drop(client);
    terminal.exp_string("means_count 1 mean_of_means 5")?;
    terminal.exp_eof()?;
    Ok(())
}
