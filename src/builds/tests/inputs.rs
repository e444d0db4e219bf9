//! The order of inputs, `app.json`, settings, and what the operator decides.

use super::{report, tree};
use crate::builds::{BaseImages, CaBundle, HealthKind, Input, ProviderId, Settings, detect, recognise, render};

const FLASK: &str = "== requirements.txt\nflask==3.0.3\ngunicorn==22.0.0\n== app.py\napp = Flask(__name__)\n";

#[test]
fn the_order_of_inputs_is_fixed() {
    let all = tree("== compose.yaml\nx\n== Dockerfile\nFROM a\n== package.json\n{}\n== build/Dockerfile\nFROM b\n");
    let input = |settings: &Settings| recognise(&all, settings).unwrap();
    let named = Settings { dockerfile: Some("build/Dockerfile".into()), ..Settings::default() };
    assert_eq!(input(&named), Input::Dockerfile { file: "build/Dockerfile".into() });
    let provider = Settings { provider: Some(ProviderId::Node), ..Settings::default() };
    assert_eq!(input(&provider), Input::Detected);
    assert_eq!(input(&Settings::default()), Input::Compose { file: "compose.yaml".into() });
    let missing = Settings { dockerfile: Some("nope".into()), ..Settings::default() };
    let error = recognise(&all, &missing).unwrap_err().to_string();
    assert!(error.contains("\"nope\" as the Dockerfile, and the source has no such file. Commit the file"), "{error}");
}

#[test]
fn settings_win_over_what_is_found() {
    let settings = Settings {
        version: Some("3.11".into()),
        start: Some("python app.py --port $PORT".into()),
        build: Some("python prepare.py".into()),
        port: Some(5000),
        packages: vec!["ffmpeg".into()],
        ..Settings::default()
    };
    let plan = detect(&tree(FLASK), &settings).unwrap();
    assert_eq!(plan.images.runtime, "python:3.11-slim");
    assert_eq!(plan.versions[0].source, "setting");
    assert_eq!(plan.processes["web"].argv, ["/bin/sh", "-c", "exec python app.py --port $PORT"]);
    let text = render(&plan);
    for line in ["RUN python prepare.py", "    PORT=5000", "COPY --from=build --chown=app:app /app /app"] {
        assert!(text.lines().any(|l| l == line), "{line:?} is not in\n{text}");
    }
    assert_eq!(text.matches("--no-install-recommends ffmpeg ").count(), 2);
}

#[test]
fn the_operator_chooses_images_certificates_and_indexes() {
    let mut settings = Settings::default();
    settings.platform.base_images = BaseImages([("python".to_owned(), "images.example/py:{v}".to_owned())].into());
    settings.platform.cache_scope = "acme-shop".into();
    settings.platform.build_args = vec!["PIP_INDEX_URL".into()];
    settings.platform.extra_ca = Some(CaBundle::Secret);
    insta::assert_snapshot!(report(FLASK, &settings), @r#"
    web: ["/bin/sh", "-c", "exec gunicorn --bind 0.0.0.0:$PORT app:app"]
    # Made by Wharf for Python with flask, python 3.13 (default).
    # `wharf build --print` prints it again. To change it, save it as Dockerfile: from then on it is yours.

    # Build: what is needed to build stays in this stage.
    FROM images.example/py:3.13 AS build
    WORKDIR /app
    ARG PIP_INDEX_URL
    ENV PATH=/opt/venv/bin:$PATH \
        PIP_DISABLE_PIP_VERSION_CHECK=1 \
        VIRTUAL_ENV=/opt/venv
    # The platform's CA bundle, there while a step runs.
    ENV SSL_CERT_FILE=/run/secrets/wharf-ca \
        PIP_CERT=/run/secrets/wharf-ca \
        REQUESTS_CA_BUNDLE=/run/secrets/wharf-ca \
        NODE_EXTRA_CA_CERTS=/run/secrets/wharf-ca \
        YARN_HTTPS_CA_FILE_PATH=/run/secrets/wharf-ca \
        DENO_CERT=/run/secrets/wharf-ca \
        CARGO_HTTP_CAINFO=/run/secrets/wharf-ca \
        GIT_SSL_CAINFO=/run/secrets/wharf-ca \
        CURL_CA_BUNDLE=/run/secrets/wharf-ca \
        COMPOSER_CAFILE=/run/secrets/wharf-ca \
        HEX_CACERTS_PATH=/run/secrets/wharf-ca
    RUN --mount=type=secret,id=wharf-ca,target=/run/secrets/wharf-ca \
        python -m venv /opt/venv

    # Dependencies first: this layer is kept as long as these files don't change.
    COPY requirements.txt ./
    RUN --mount=type=secret,id=wharf-ca,target=/run/secrets/wharf-ca \
        --mount=type=cache,id=acme-shop-pip,target=/root/.cache/pip,sharing=locked \
        pip install -r requirements.txt

    # Run: only the app and what it needs.
    FROM images.example/py:3.13
    # The app does not run as root.
    RUN groupadd --gid 10001 app && useradd --uid 10001 --gid 10001 --create-home --shell /usr/sbin/nologin app
    WORKDIR /app
    RUN chown app:app /app
    COPY --from=build /opt/venv /opt/venv
    COPY --chown=app:app . /app
    ENV PATH=/opt/venv/bin:$PATH \
        PYTHONDONTWRITEBYTECODE=1 \
        PYTHONUNBUFFERED=1 \
        PORT=8080
    USER app
    EXPOSE 8080
    CMD ["/bin/sh", "-c", "exec gunicorn --bind 0.0.0.0:$PORT app:app"]
    "#);
    settings.platform.extra_ca = Some(CaBundle::Image("wharf/ca:1".into()));
    let text = report(FLASK, &settings);
    assert!(
        text.contains("RUN --mount=type=bind,from=wharf/ca:1,source=/ca.crt,target=/run/secrets/wharf-ca \\\n"),
        "{text}"
    );
}

#[test]
fn app_json_is_honoured_or_said() {
    let text = format!(
        "{FLASK}== app.json\n{}",
        r#"{"name": "shop", "env": {"A": "1", "B": {"generator": "secret"}, "C": {"required": false, "description": "c"}},
        "formation": {"web": {"quantity": 2}}, "cron": [{"command": "python nightly.py", "schedule": "0 3 * * *"}],
        "healthchecks": {"web": [{"type": "startup", "path": "/health", "attempts": 5, "initialDelay": 2}]},
        "scripts": {"dokku": {"predeploy": "python migrate.py"}}, "addons": ["redis"]}"#
    );
    let plan = detect(&tree(&text), &Settings::default()).unwrap();
    assert_eq!(plan.app.env["A"].value.as_deref(), Some("1"));
    assert_eq!(plan.app.env["B"].generator.as_deref(), Some("secret"));
    assert!(!plan.app.env["C"].required && plan.app.env["B"].required);
    assert_eq!(plan.app.formation["web"].quantity, Some(2));
    let check = &plan.app.healthchecks["web"][0];
    assert_eq!(
        (check.kind, check.path.as_deref(), check.initial_delay),
        (HealthKind::Startup, Some("/health"), Some(2))
    );
    assert_eq!(plan.release.unwrap().argv, ["python", "migrate.py"]);
    let said = format!("{:?}", plan.notes);
    assert!(said.contains("`addons` in app.json is not used by this platform"), "{said}");
}

#[test]
fn mistakes_in_app_json_name_their_place() {
    let error = |json: &str| {
        detect(&tree(&format!("{FLASK}== app.json\n{json}")), &Settings::default()).unwrap_err().to_string()
    };
    let schedule = error("{\"cron\": [\n {\"command\": \"x\", \"schedule\": \"@ 3\"}]}");
    assert!(schedule.starts_with("app.json, line 2, column 31: the schedule \"@ 3\" has 2 fields"), "{schedule}");
    let broken = error("{\n  \"formation\": {\"web\": 2}\n}");
    assert!(broken.starts_with("app.json, line 2, column "), "{broken}");
    let env = error("{\"env\": {\"A\": 1}}");
    assert!(env.contains("a variable must be a text or an object"), "{env}");
}

#[test]
fn a_procfile_decides_the_processes() {
    let plan =
        detect(&tree(&format!("{FLASK}== Procfile\nworker: python w.py\nrelease: a && b\n")), &Settings::default())
            .unwrap();
    assert_eq!(plan.processes.keys().collect::<Vec<_>>(), ["worker"]);
    assert_eq!(plan.release.as_ref().unwrap().argv, ["/bin/sh", "-c", "a && b"]);
    assert_eq!(plan.start, None);
}

#[test]
fn unreadable_files_are_said() {
    let source = crate::builds::SourceTree::from_files([("package.json", vec![b'{', 0xff])]);
    let error = detect(&source, &Settings::default()).unwrap_err().to_string();
    assert_eq!(error, "package.json can't be read: byte 2 is not UTF-8; save the file as UTF-8");
    let source = crate::builds::SourceTree::from_files([("package.json", vec![b' '; 5 * 1024 * 1024])]);
    let error = detect(&source, &Settings::default()).unwrap_err().to_string();
    assert!(error.starts_with("package.json can't be read: it is larger than 4 MiB"), "{error}");
}

#[test]
fn a_static_folder_of_a_build_is_served() {
    let settings = Settings {
        static_dir: Some("site".into()),
        build: Some("mkdocs build\nls site".into()),
        ..Settings::default()
    };
    let text = report("== requirements.txt\nmkdocs==1.6.0\n", &settings);
    for line in
        ["RUN mkdocs build && ls site", "COPY --from=build /app/site /site", r#"CMD ["static", "--root", "/site"]"#]
    {
        assert!(text.lines().any(|l| l == line), "{line:?} is not in\n{text}");
    }
    let text = report("== index.html\nx\n", &Settings { build: Some("./make".into()), ..Settings::default() });
    assert!(
        text.contains("FROM debian:bookworm-slim AS build") && text.contains("COPY --from=build /app /site"),
        "{text}"
    );
}

#[test]
fn a_web_process_serves_what_would_be_a_static_site() {
    let app = "== package.json\n{\"scripts\": {\"build\": \"vite build\"}, \"devDependencies\": {\"vite\": \"5\"}}\n== Procfile\nweb: node serve.js\n";
    assert!(report(app, &Settings::default()).contains(r#"CMD ["node", "serve.js"]"#));
    let site = report("== index.html\nx\n== Procfile\nweb: node serve.js\n", &Settings::default());
    assert!(site.starts_with("error: the Procfile names a `web` process, and the source is a static site"), "{site}");
}

#[test]
fn settings_are_data() {
    let settings: Settings = serde_json::from_str(
        r#"{"version": "3.12", "platform": {"cache_scope": "a", "extra_ca": {"image": "wharf/ca:1"}, "base_images": {"go": "own/go:{v}"}}}"#,
    )
    .unwrap();
    assert_eq!(settings.platform.base_images.resolve("go", "1.25"), "own/go:1.25");
    assert_eq!(settings.platform.extra_ca, Some(CaBundle::Image("wharf/ca:1".into())));
    assert!(serde_json::from_str::<Settings>(r#"{"verson": "3.12"}"#).is_err());
}
