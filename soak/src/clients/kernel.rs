//! The kernel's buffers of a connection: they distinguish a server that has not answered from one that was not read.

use std::fs;

/// Both ends of the connection from this local port, from `/proc/net/tcp`.
pub(super) fn ends(port: u16) -> String {
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let ends: Vec<String> = table.lines().skip(1).filter_map(|line| end(line, port)).collect();
    if ends.is_empty() { "the kernel knows it no more".to_owned() } else { ends.join("; ") }
}

/// One line of the table, if it belongs to this connection.
fn end(line: &str, port: u16) -> Option<String> {
    let mut fields = line.split_whitespace().skip(1);
    let mut port_of = || u16::from_str_radix(fields.next()?.split_once(':')?.1, 16).ok();
    let (local, remote) = (port_of()?, port_of()?);
    if local != port && remote != port {
        return None;
    }
    let (state, queues, timer, retransmits) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let (unsent, unread) = queues.split_once(':')?;
    let [unsent, unread, retransmits] =
        [unsent, unread, retransmits].map(|number| u64::from_str_radix(number, 16).unwrap_or_default());
    let whose = if local == port { "the client's end" } else { "the server's end" };
    // States are numbered as in the kernel: 01 is established. Timers: 01 retransmits, 04 probes a closed window.
    Some(format!(
        "{whose}: {unsent} bytes not acknowledged, {unread} not read, state {state}, timer {timer}, {retransmits} retransmits"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernels_table_of_connections_is_parsed() {
        let line = "  7: 0100007F:ACB9 0100007F:8A0E 01 00000010:00000A00 01:000001D0 00000002     0        0 123 3 0";
        let text = end(line, 0xACB9).unwrap();
        assert!(text.starts_with("the client's end: 16 bytes not acknowledged, 2560 not read, state 01"), "{text}");
        assert!(end(line, 0x8A0E).unwrap().starts_with("the server's end"));
        assert_eq!(end(line, 1), None);
    }
}
