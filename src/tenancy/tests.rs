use super::credentials::{PasswordError, check_password, hash_password, hash_token, verify_password};
use super::model::default_host;
use super::roles::{Permission, Role, Scope};
use super::vault::Vault;
use crate::kernel::clock::Timestamp;
use crate::kernel::id::TenantId;
use crate::kernel::random::Random;
use crate::kernel::secret::Secret;

#[test]
fn a_stronger_role_never_allows_less() {
    for permission in Permission::ALL {
        for pair in Role::ALL.windows(2) {
            assert!(pair[0] <= pair[1]);
            assert!(!pair[0].allows(permission) || pair[1].allows(permission), "{permission:?}");
        }
        assert!(Role::Owner.allows(permission));
        assert!(!Scope::Read.allows(permission) || Scope::Deploy.allows(permission), "{permission:?}");
    }
    assert!(!Role::Viewer.allows(Permission::AppDeploy));
    assert!(!Role::Developer.allows(Permission::MemberManage));
    assert!(!Scope::Deploy.allows(Permission::AppExec));
}

#[test]
fn a_sealed_value_opens_only_where_and_for_whom_it_was_sealed() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("master.key");
    let random = Random::seeded(7);
    let vault = Vault::open(&path, true, &random).expect("makes a key");
    let (ann, bob) = (TenantId::new(Timestamp(1), &random), TenantId::new(Timestamp(1), &random));
    let wrapped = vault.new_tenant_key(&ann);
    assert!(vault.tenant_key(&bob, &wrapped).is_err(), "another tenant's key must not open");
    let key = vault.tenant_key(&ann, &wrapped).expect("opens");
    let sealed = key.seal("config/1", b"hunter2");
    assert_eq!(key.open("config/1", &sealed).expect("opens"), b"hunter2");
    assert!(key.open("config/2", &sealed).is_err(), "moved to another place");
    let mut altered = sealed.clone();
    *altered.last_mut().expect("not empty") ^= 1;
    assert!(key.open("config/1", &altered).is_err(), "altered");
    // The same file opens the same values after a restart; a lost file is said, not replaced.
    let again = Vault::open(&path, false, &Random::seeded(9)).expect("reads the key");
    assert_eq!(again.tenant_key(&ann, &wrapped).expect("opens").open("config/1", &sealed).expect("opens"), b"hunter2");
    assert!(Vault::open(&dir.path().join("lost.key"), false, &random).is_err());
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("chmod");
    assert!(Vault::open(&path, false, &random).expect_err("others may read it").to_string().contains("mode is 644"));
}

#[tokio::test]
async fn passwords_are_checked_and_hashed() {
    assert_eq!(check_password("short", "a@b.c"), Err(PasswordError::Length(5)));
    assert_eq!(check_password("password123", "a@b.c"), Err(PasswordError::Common));
    assert_eq!(check_password("aaaaaaaaaaaa", "a@b.c"), Err(PasswordError::Common));
    assert_eq!(check_password("correct horse battery", "a@b.c"), Ok(()));
    let password = Secret::new("correct horse battery".to_owned());
    let hash = hash_password(&password, &Random::seeded(1)).await.expect("hashes");
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    assert!(verify_password(&password, &hash).await);
    assert!(!verify_password(&Secret::new("correct horse batterz".to_owned()), &hash).await);
    assert!(!verify_password(&password, "garbage").await);
    assert_eq!(hash_token("a").len(), 64);
}

#[test]
fn default_hosts_of_two_apps_are_never_the_same() {
    let host = |primary, tenant: &str, project: &str, env: &str| {
        let (t, p, e) = (tenant.parse().expect("t"), project.parse().expect("p"), env.parse().expect("e"));
        default_host("example.com", primary, &t, &p, &e)
    };
    assert_eq!(host(true, "acme", "shop", "production"), "shop.example.com");
    assert_eq!(host(true, "acme", "shop", "staging"), "shop--e-staging.example.com");
    assert_eq!(host(false, "other", "shop", "production"), "shop--other.example.com");
    let longest = host(false, &"t".repeat(20), &"p".repeat(24), &"e".repeat(12));
    assert!(longest.split('.').next().expect("a label").len() <= 63);
}

#[test]
fn failed_log_ins_wait_longer_and_longer_but_never_for_good() {
    let mut attempts = super::attempts::Attempts::default();
    let now = Timestamp(1_000_000);
    for _ in 0..5 {
        attempts.failed("ann", now);
        assert_eq!(attempts.wait_ms("ann", now), 0);
    }
    attempts.failed("ann", now);
    assert_eq!(attempts.wait_ms("ann", now), 1000);
    attempts.failed("ann", now);
    assert_eq!(attempts.wait_ms("ann", now), 2000);
    for _ in 0..60 {
        attempts.failed("ann", now);
    }
    assert_eq!(attempts.wait_ms("ann", now), 5 * 60 * 1000);
    assert_eq!(attempts.wait_ms("ann", now.plus_secs(301)), 0);
    assert_eq!(attempts.wait_ms("bob", now), 0);
    attempts.succeeded("ann");
    assert_eq!(attempts.wait_ms("ann", now), 0);
    for i in 0..20_000 {
        attempts.failed(&format!("k{i}"), now);
    }
    assert!(attempts.wait_ms("k19999", now) == 0);
}
