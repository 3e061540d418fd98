ip link add docker0 address 02:42:00:00:00:01 type bridge
ip address add 172.17.0.1/16 broadcast + dev docker0
ip link set docker0 up
for n in 1 2; do
    ip netns add c$n
    ip -n c$n link set lo up
    ip link add veth$n type veth \
        peer name eth0 address 02:42:ac:11:00:0$((n + 1)) netns c$n
    ip link set veth$n master docker0 up
    ip -n c$n address add 172.17.0.$((n + 1))/16 broadcast + dev eth0
    ip -n c$n link set eth0 up
done
