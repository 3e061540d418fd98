for n in 1 2; do
    ip netns add net$n
    ip -n net$n link set lo up
done
ip link add eth0 address 02:00:00:00:00:01 netns net1 type veth \
    peer name eth0 address 02:00:00:00:00:02 netns net2
for n in 1 2; do
    ip -n net$n address add 10.0.0.$n/24 dev eth0
    ip -n net$n link set eth0 up
done
