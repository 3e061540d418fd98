ip link add cni0 type bridge && ip link set cni0 up
ip address add 10.244.0.1/24 dev cni0
for pair in 1:veth9d60519b 2:vethc025ce1c; do
    n=${pair%:*} port=${pair#*:}
    ip netns add pod$n
    ip link add $port type veth peer name eth0 address 02:00:00:00:00:0$n netns pod$n
    ip link set $port master cni0 up
    ip -n pod$n address add 10.244.0.$((n + 1))/24 dev eth0
    ip -n pod$n link set eth0 up
    ip -n pod$n route add default via 10.244.0.1
done
