<?php
declare(strict_types=1);

// Says hello to the name in the address: /?name=Ada
$name = trim((string) ($_GET['name'] ?? ''));
$name = $name === '' ? 'you' : mb_substr($name, 0, 40);
$instance = gethostname();
?>
<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Hello from PHP</title>
  <style>
    :root { color-scheme: light dark; }
    body { font: 1.1rem/1.6 system-ui, sans-serif; display: grid; place-items: center; min-height: 90vh; text-align: center; }
    h1 { font-size: clamp(2rem, 8vw, 4rem); margin: 0; overflow-wrap: anywhere; }
    small { opacity: .7; }
  </style>
</head>
<body>
  <main>
    <h1>Hello, <?= htmlspecialchars($name, ENT_QUOTES) ?></h1>
    <p>from PHP <?= htmlspecialchars(PHP_VERSION) ?></p>
    <small>answered by <?= htmlspecialchars((string) $instance) ?></small>
  </main>
</body>
</html>
