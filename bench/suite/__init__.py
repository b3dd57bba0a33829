"""The bench suite: measures headgate beside other proxies, in one run. Started by bench/run.sh."""
