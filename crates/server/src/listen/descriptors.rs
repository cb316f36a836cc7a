//! The system's limit of open files, and how many connections it leaves room for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that volumes, databases and commands may have open at a time.
const RESERVED: u64 = 512;
/// Planes that share what is left.
const PLANES: u64 = 3;

/// Raises the limit as far as that is allowed; how many connections each plane may then have, at
/// most `wanted`. Connections must never take the files away that an upload is written to.
pub(crate) fn connections_max(wanted: u32) -> u32 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let Some(files) = current else {
        return wanted;
    };
    let allowed = allowed(files, wanted);
    if allowed < wanted {
        tracing::warn!(
            files.max = files,
            connections.max = allowed,
            "the system's limit of open files allows fewer connections than configured"
        );
    }
    allowed
}

/// How many connections of each plane so many open files allow.
fn allowed(files: u64, wanted: u32) -> u32 {
    let free = files.saturating_sub(RESERVED.min(files / 2));
    u32::try_from(free / PLANES)
        .unwrap_or(u32::MAX)
        .clamp(1, wanted.max(1))
}

#[cfg(test)]
mod tests {
    use super::allowed;

    #[test]
    fn files_for_volumes_are_left_over() {
        let cases = [
            (1_048_576, 4_096, 4_096),
            (1_024, 4_096, 170),
            (256, 4_096, 42),
            (2, 4_096, 1),
        ];
        for (files, wanted, expected) in cases {
            assert_eq!(allowed(files, wanted), expected, "{files}");
        }
    }
}
