#!/bin/sh
# Stands for a worker that takes jobs from a queue: needs nothing but a shell, says every minute that it is there, and ends when
# it is asked to.
queue=${2:-none}
trap 'echo "queue $queue: asked to end"; exit 0' TERM INT
echo "queue $queue: waiting for jobs"
while :; do
	sleep 60 &
	wait $!
	echo "queue $queue: still waiting"
done
