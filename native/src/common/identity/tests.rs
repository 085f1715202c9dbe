#[cfg(unix)]
use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn seed_zero_has_the_documented_peer_id() {
    assert_eq!(
        from_seed(0).unwrap().public().to_peer_id().to_string(),
        "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
    );
}

#[test]
fn seeds_differ() {
    assert_ne!(
        from_seed(1).unwrap().public(),
        from_seed(2).unwrap().public()
    );
}

#[test]
fn a_key_is_fresh_without_file_and_seed() {
    let peer_id = || load(None).unwrap().public().to_peer_id();
    assert_ne!(peer_id(), peer_id());
}

#[test]
fn a_key_file_is_created_and_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    let key = from_file(&path).unwrap();
    assert_eq!(from_file(&path).unwrap().public(), key.public());
    #[cfg(unix)]
    assert_eq!(mode(&path), 0o600);
    let left: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_becomes_private() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    let key = from_file(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(from_file(&path).unwrap().public(), key.public());
    assert_eq!(mode(&path), 0o600);
}

#[cfg(unix)]
#[test]
fn a_file_that_is_no_secret_keeps_its_mode() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("diary");
    for bytes in [vec![], vec![7; 68], vec![7; 20_000]] {
        fs::write(&path, &bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
        from_file(&path).unwrap_err();
        let refuse = |_: &[u8]| -> anyhow::Result<()> { bail!("no certificate") };
        read_or_create(&path, refuse, || panic!("the file exists")).unwrap_err();
        assert_eq!(mode(&path), 0o664);
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}

#[cfg(unix)]
#[test]
fn what_a_link_leads_to_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let [link, target] = ["link", "target"].map(|name| directory.path().join(name));
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let refused = || {
        let complaint = from_file(&link).unwrap_err().to_string();
        assert!(complaint.contains("is a symbolic link"), "{complaint}");
    };
    refused();
    assert!(!target.exists(), "nothing was created at the other end");
    from_file(&target).unwrap();
    fs::set_permissions(&target, fs::Permissions::from_mode(0o644)).unwrap();
    refused();
    assert_eq!(mode(&target), 0o644);
    assert!(look_at(&link).is_err(), "looking is refused as well");
}

/// Needs root, as which the tests run where whole networks are made; for others there is nobody else's file here.
#[cfg(unix)]
#[test]
fn a_file_of_another_user_is_left_alone() {
    const SOMEBODY: u32 = 12_345;
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    from_file(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    std::os::unix::fs::chown(&path, Some(SOMEBODY), None).unwrap();
    let complaint = from_file(&path).unwrap_err().to_string();
    assert!(complaint.contains("belongs to another user"), "{complaint}");
    assert_eq!(mode(&path), 0o644);
}

#[cfg(unix)]
#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let complaint = from_file(&path).unwrap_err().to_string();
    assert!(complaint.contains("is no regular file"), "{complaint}");
}

#[test]
fn what_is_no_key_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    for (bytes, expected) in [
        (vec![], "it has 0 bytes"),
        (vec![7; 67], "it has 67 bytes"),
        (vec![7; 68], "it has 68 bytes"),
        (vec![7; 20_000], "more than 16384 bytes"),
    ] {
        fs::write(&path, bytes).unwrap();
        let complaint = from_file(&path).unwrap_err().to_string();
        assert!(complaint.contains(expected), "{complaint}");
        assert!(complaint.contains(path.to_str().unwrap()), "{complaint}");
        assert!(!complaint.contains('\n'), "{complaint}");
    }
}

#[test]
fn a_directory_is_no_key() {
    let directory = tempfile::tempdir().unwrap();
    let complaint = from_file(directory.path()).unwrap_err().to_string();
    assert!(complaint.contains("is a directory"), "{complaint}");
}

#[test]
fn a_missing_directory_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("no").join("key");
    let complaint = format!("{:#}", from_file(&path).unwrap_err());
    assert!(complaint.contains("cannot create"), "{complaint}");
    assert!(complaint.contains(path.to_str().unwrap()), "{complaint}");
}

#[test]
fn a_key_that_another_process_just_created_is_used() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    let parse = |bytes: &[u8]| Ok(bytes.to_vec());
    let bytes = read_or_create(&path, parse, || {
        fs::write(&path, "the other's").unwrap();
        Ok(b"ours".to_vec())
    });
    assert_eq!(bytes.unwrap(), b"the other's");
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
