for n in 1 2; do
    ip netns add web$n
    ip -n web$n link set lo up
done
